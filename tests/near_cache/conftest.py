"""
Groups for the near cache, and clients that have one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.near_cache.clients import caching

__all__ = ["cached", "calm"]


@pytest.fixture(scope="module")
def calm() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which do it no harm.
    """
    group = EmbeddedSentinel(replicas=2, sentinels=1, quorum=1, down_after=3.0)
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def cached(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    A client of `calm` whose near cache is ready; the data is empty.
    """
    await calm.command(calm.master, "FLUSHALL")
    async with caching(calm) as redis:
        yield redis
