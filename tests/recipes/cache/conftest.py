"""
A server for the tests of a file, and clients of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedSentinel]:
    """
    One master that nobody breaks; its data are flushed between tests.
    """
    group = EmbeddedSentinel(replicas=0, sentinels=1)
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def redis(server: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    async with RedisClient(server.settings) as redis:
        await redis.flushall()
        yield redis


@pytest_asyncio.fixture
async def other(server: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    Another client, as another process has one: it shares nothing with `redis` but the server.
    """
    async with RedisClient(server.settings) as other:
        yield other
