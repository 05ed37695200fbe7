"""
Clients of real groups for the tests of commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["calm", "calm_redis", "group", "redis"]


@pytest.fixture(scope="module")
def calm() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which do it no harm.
    """
    group = EmbeddedSentinel(
        replicas=2,
        down_after=3.0,  # a busy machine is no fault
        server_config={"hz": 100},  # the server's clock ends waits: 10 ms late, not 100
    )
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def calm_redis(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    An open client of `calm`, whose data is empty.
    """
    async with RedisClient(calm.settings) as redis:
        await redis.flushall()
        yield redis


@pytest_asyncio.fixture
async def group() -> AsyncIterator[EmbeddedSentinel]:
    """
    A group of the test's own, to be broken.
    """
    async with EmbeddedSentinel(replicas=2, down_after=1.0) as group:
        yield group


@pytest_asyncio.fixture
async def redis(group: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    An open client of `group`.
    """
    async with RedisClient(group.settings) as redis:
        yield redis
