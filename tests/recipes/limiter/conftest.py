"""
A group and a client for the tests of the rate limiter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["calm", "redis"]


@pytest.fixture(scope="module")
def calm() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which do it no harm.
    """
    group = EmbeddedSentinel(replicas=0, sentinels=1, down_after=5.0)
    asyncio.run(group.open())  # a group is bound to no event loop
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def redis(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    An open client of `calm`, whose data is empty.
    """
    async with RedisClient(calm.settings) as redis:
        await redis.flushall()
        yield redis
