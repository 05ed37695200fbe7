"""
Groups and clients for the fault tests: one for a whole file where nothing in it does harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.integration.observe import Recorder

__all__ = ["calm_group", "group", "recorder", "redis"]


@pytest.fixture(scope="module")
def calm_group() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which leave it as they found it.
    """
    group = EmbeddedSentinel(down_after=1.0)
    asyncio.run(group.open())  # a group is bound to no event loop
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture
async def group() -> AsyncIterator[EmbeddedSentinel]:
    """
    A group of the test's own, to be broken.
    """
    async with EmbeddedSentinel(down_after=0.5, failover_timeout=3.0) as group:
        yield group


@pytest_asyncio.fixture
async def redis(group: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    An open client of `group`.
    """
    async with RedisClient(group.settings) as redis:
        yield redis


@pytest.fixture
def recorder() -> Recorder:
    """
    An observer that keeps what it is told.
    """
    return Recorder()
