"""
Very many callers at once: on a healthy group, in an outage, and with a short waiting line.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from sahool_cache import OverloadedError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.pipeline import Pipeline
from tests.integration.observe import within

CALLERS = 10_000
MOST_DIALS = 60
"""Attempts to connect to a master that is down for three seconds, however many wait for it."""


def dials(redis: RedisClient, node: Node) -> int:
    (stats,) = (each for each in redis.stats().nodes if each.address == node.address)
    return stats.dials


@pytest.mark.asyncio
async def test_ten_thousand_callers_on_fifty_connections(calm_group: EmbeddedSentinel) -> None:
    """
    Nothing raises, everybody gets their own reply, and at most 50 connections are open.
    """
    assert calm_group.settings.max_connections == 50
    async with RedisClient(calm_group.settings) as redis:

        async def call(n: int) -> object:
            await redis.set(f"caller:{n}", n)
            return await redis.get(f"caller:{n}")

        with within(30):
            replies = await asyncio.gather(*(call(n) for n in range(CALLERS)))
        assert replies == [str(n) for n in range(CALLERS)]
        assert redis.stats().repeats == 0
        clients = await redis.info("clients")
        assert clients["connected_clients"] <= 60  # the replicas' and the sentinels' own among them


@pytest.mark.asyncio
async def test_nobody_starves_behind_the_exclusive_connections(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    Transactions with WATCH and blocking reads, many more than connections: served in turn.
    """
    settings = calm_group.settings.model_copy(update={"max_connections": 10})
    async with RedisClient(settings) as redis:
        await redis.delete("queue", *(f"shared:{n}" for n in range(100)))

        async def count(n: int) -> None:
            async def add(pipe: Pipeline) -> None:
                seen = int(await pipe.get(f"shared:{n}") or 0)
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(f"shared:{n}", seen + 1)

            await redis.transaction(add, f"shared:{n}")

        async def take() -> str:
            popped = await redis.blpop("queue", timeout=8)
            return str(popped[1]) if popped else "nothing"

        async def give(n: int) -> None:
            await redis.rpush("queue", n)

        takers = [asyncio.create_task(take()) for _ in range(300)]
        calls = [asyncio.create_task(count(n % 100)) for n in range(500)]
        started = time.monotonic()
        await asyncio.gather(*(redis.get("plain") for _ in range(1000)))
        assert time.monotonic() - started < 5, "plain calls waited for exclusive connections"
        await asyncio.gather(*(give(n) for n in range(300)))
        with within(30):
            taken = await asyncio.gather(*takers)
            await asyncio.gather(*calls)
        assert sorted(map(int, taken)) == list(range(300))
        assert await redis.mget([f"shared:{n}" for n in range(100)]) == ["5"] * 100
        assert all(node.exclusive == 0 for node in redis.stats().nodes)


@pytest.mark.asyncio
async def test_ten_thousand_callers_wait_for_a_master_that_comes_back() -> None:
    """
    A master that is gone for three seconds: all are served, and no storm of attempts meets it.
    """
    async with (
        EmbeddedSentinel(down_after=20.0) as group,
        RedisClient(group.settings.model_copy(update={"command_timeout": 20.0})) as redis,
    ):
        master = await group.kill_master()
        before = dials(redis, master)
        calls = [asyncio.ensure_future(redis.set(f"caller:{n}", n)) for n in range(CALLERS)]
        await asyncio.sleep(3)
        assert dials(redis, master) - before <= MOST_DIALS
        assert redis.stats().waiting == CALLERS
        assert not any(call.done() for call in calls)
        await group.restart(master)
        with within(10):
            assert await asyncio.gather(*calls) == [True] * CALLERS
        assert dials(redis, master) - before <= MOST_DIALS
        assert redis.stats().repeats <= CALLERS
        assert redis.stats().waiting == 0
        assert await redis.dbsize() == CALLERS


@pytest.mark.asyncio
async def test_short_waiting_line_refuses_the_rest_at_once() -> None:
    """
    With max_waiting=100 a hundred calls wait and are served; all others are told to come later.
    """
    async with (
        EmbeddedSentinel(down_after=20.0) as group,
        RedisClient(group.settings.model_copy(update={"max_waiting": 100})) as redis,
    ):
        master = await group.kill_master()
        await asyncio.sleep(0.2)  # the client has noticed
        started = time.monotonic()
        refused_after: list[float] = []

        async def call(n: int) -> str:
            try:
                await redis.incr(f"caller:{n}")
            except OverloadedError as error:
                refused_after.append(time.monotonic() - started)
                return str(error)
            return "served"

        calls = [asyncio.create_task(call(n)) for n in range(CALLERS)]
        await asyncio.sleep(1)
        assert redis.stats().waiting == 100
        await group.restart(master)
        with within(10):
            outcomes = Counter(await asyncio.gather(*calls))
        assert outcomes.pop("served") == 100
        ((reason, count),) = outcomes.items()
        assert count == CALLERS - 100
        assert "100" in reason
        assert max(refused_after) < 5
        assert await redis.dbsize() == 100, "a refused call was sent after all"


SLOW = "for i = 1, 150000 do end return 1"


@pytest.mark.asyncio
async def test_call_that_cannot_be_served_in_time_is_refused_at_once(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    Behind seconds of slow scripts there is no place for a call that has a tenth of one.
    """
    async with RedisClient(calm_group.settings) as redis:
        script = redis.register_script(SLOW)
        await script()
        slow = [asyncio.ensure_future(redis.evalsha(script.sha, 0)) for _ in range(4000)]
        await asyncio.sleep(0.6)
        assert not slow[-1].done(), "the scripts are too quick for this test"
        with within(0.15), pytest.raises(OverloadedError, match="ahead of it"):
            await redis.with_options(timeout=0.2).get("k")
        assert await redis.get("k") is None, "who has the time is served"
        await asyncio.gather(*slow)
        assert await redis.with_options(timeout=0.5).get("k") is None
