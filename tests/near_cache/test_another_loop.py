"""
One client, loop after loop: each begins with nothing of what the one before had kept.
"""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.near_cache.clients import figures, near, ready


def test_one_client_goes_on_with_the_next_loop_and_with_one_of_another_kind(
    calm: EmbeddedSentinel,
) -> None:
    redis = RedisClient(calm.settings.model_copy(update={"near_cache": True}))

    async def use(value: str) -> None:
        await redis.set("k", value)
        await redis.wait_ready()
        await ready(redis)
        assert [await redis.get("k") for _ in range(3)] == [value] * 3
        assert figures(redis).hits >= 1
        assert near(redis).now() == pytest.approx(asyncio.get_running_loop().time(), abs=0.1)

    asyncio.run(use("1"))
    asyncio.run(use("2"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(use("3"))
        runner.run(redis.aclose())
