"""
What is built on a client ends before it does.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel


class Companion:
    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self.closed_with: bool | None = None

    async def aclose(self) -> None:
        self.closed_with = await self.client.ping()


@pytest.mark.asyncio
async def test_a_companion_is_made_once_and_closed_while_its_client_still_serves() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        async with RedisClient(group.settings) as redis:
            first = redis.companion(Companion)
            assert redis.companion(Companion) is first
            assert first.client is redis
        assert first.closed_with is True
        async with redis:
            assert redis.companion(Companion) is not first


@pytest.mark.asyncio
async def test_another_loop_takes_no_companion_away() -> None:
    async with (
        EmbeddedSentinel(replicas=0, sentinels=1) as group,
        RedisClient(group.settings) as redis,
    ):
        ours = redis.companion(Companion)

        async def elsewhere() -> None:
            redis.companion(Companion)

        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())
        assert redis.companion(Companion) is ours
