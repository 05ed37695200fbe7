"""
Groups for the lock: one for a whole file where nothing in it does harm, one to be broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["calm", "group", "redis"]


@pytest.fixture(scope="module")
def calm() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which leave it as they found it.
    """
    group = EmbeddedSentinel(replicas=1, sentinels=1, quorum=1, down_after=3.0)
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def redis(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    An open client of `calm`; the data is empty.
    """
    await calm.command(calm.master, "FLUSHALL")
    async with RedisClient(calm.settings) as redis:
        yield redis


@pytest_asyncio.fixture
async def group() -> AsyncIterator[EmbeddedSentinel]:
    """
    A group of the test's own, to be broken; what was the master is soon a replica again.
    """
    async with EmbeddedSentinel(
        down_after=0.5,
        failover_timeout=2.0,
        sentinel_debug={"info-period": 1000, "publish-period": 500},
    ) as group:
        yield group
