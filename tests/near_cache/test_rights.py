"""
A user who may not do what the near cache needs has its reads all the same, and one warning.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import RightMissing
from tests.integration.observe import Recorder, eventually
from tests.near_cache.clients import caching, calls, figures, near, trackers

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("without", "right"), [("-client|tracking", "CLIENT TRACKING"), ("-pttl", "PTTL")]
)
async def test_a_right_that_is_missing_costs_the_cache_and_one_warning(
    calm: EmbeddedSentinel, without: str, right: str
) -> None:
    for node in (calm.master, *calm.replicas):
        user = ("app", "reset", "on", ">pw", "~*", "&*", "+@all", without)
        await calm.command(node, "ACL", "SETUSER", *user)
    recorder = Recorder()
    user_of = {"username": "app", "password": "pw"}
    async with caching(calm, observers=(recorder,), wait=False, **user_of) as redis:
        replica = redis.with_options(read_from="replica_preferred")
        await redis.set("k", "0")
        for number in range(20):
            await redis.set("k", number)
            assert [await redis.get("k") for _ in range(3)] == [str(number)] * 3
            await redis.hgetall("h")
            await replica.get(f"k{number}")
            await asyncio.sleep(0.01)
        assert await eventually(lambda: len(recorder.of(RightMissing)) == 1)
        (told,) = recorder.of(RightMissing)
        assert told.right == right
        assert "near cache" in told.costs
        assert (figures(redis).hits, figures(redis).entries) == (0, 0)
        before = await calls(calm, "pttl")
        await redis.get("k")
        assert await calls(calm, "pttl") == before, "nothing is asked in vain"
        for node in (calm.master, *calm.replicas):
            assert await trackers(calm, node) == []
        assert near(redis).master is not None
    for node in (calm.master, *calm.replicas):
        await calm.command(node, "ACL", "DELUSER", "app")
