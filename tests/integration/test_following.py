"""
What waits, listens or was prepared before a failover goes on after it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sahool_cache import OutcomeUnknownError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.events import MasterChanged
from sahool_cache.pipeline import Pipeline
from tests.integration.observe import Recorder, eventually, within

any_fault = pytest.mark.parametrize("fault", ["killed", "hung", "planned"])


async def replace_master(group: EmbeddedSentinel, fault: str) -> Node:
    """
    Lets the sentinels replace the master for that reason; returns when they have.
    """
    if fault == "killed":
        old = await group.kill_master()
    elif fault == "hung":
        old = group.master
        await group.pause(old)
    else:
        old = await group.failover()
    return await group.wait_for_failover(old)


async def until_received(redis: RedisClient, channel: str, message: str) -> None:
    while not await redis.publish(channel, message):
        await asyncio.sleep(0.02)


@any_fault
@pytest.mark.asyncio
async def test_subscription_is_made_anew(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    listen() goes on with the new master, channels and patterns alike, and ends at aclose().
    """
    heard: list[tuple[str, str]] = []

    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.psubscribe("weather.*")

        async def listen() -> None:
            async for message in pubsub.listen():
                heard.append((message["channel"], message["data"]))  # noqa: PERF401  # as it comes

        listener = asyncio.create_task(listen())
        await until_received(redis, "news", "before")
        assert await eventually(lambda: ("news", "before") in heard)
        await replace_master(group, fault)
        with within(10):
            await until_received(redis, "news", "after")
            await until_received(redis, "weather.today", "calm")
        assert await eventually(lambda: {("news", "after"), ("weather.today", "calm")} <= {*heard})
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


@any_fault
@pytest.mark.asyncio
async def test_blocking_reads_wait_for_the_new_master(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    BLPOP and XREAD without end, and BLPOP with time left, are answered by the new master.
    """
    calls = [
        asyncio.ensure_future(redis.blpop("endless", timeout=0)),
        asyncio.ensure_future(redis.blpop("patient", timeout=30)),
        asyncio.ensure_future(redis.execute_command("XREAD", "BLOCK", 0, "STREAMS", "log", "0")),
    ]
    brief = asyncio.ensure_future(redis.blpop("brief", timeout=0.1))
    assert await brief is None
    await asyncio.sleep(0.1)
    await replace_master(group, fault)
    await redis.rpush("endless", "1")
    await redis.rpush("patient", "2")
    await redis.xadd("log", {"field": "3"})
    with within(10):
        results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    # A read that pops was sent, and a crash leaves open whether it popped: then it says so.
    for result, expected in zip(results[:2], (["endless", "1"], ["patient", "2"]), strict=True):
        if not isinstance(result, OutcomeUnknownError) or fault == "planned":
            assert list(result) == expected
    assert not isinstance(results[2], BaseException), results[2]


@any_fault
@pytest.mark.asyncio
async def test_script_survives_a_master_that_does_not_know_it(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    A registered script and a script in a pipeline run on the fresh master.
    """
    double = redis.register_script("return ARGV[1] * 2")
    assert await double(args=[2]) == 4
    await replace_master(group, fault)
    with within(10):
        assert await double(args=[21]) == 42
    async with redis.pipeline() as pipe:
        await double(args=[3], client=pipe)
        assert await pipe.execute() == [6]


@any_fault
@pytest.mark.asyncio
async def test_transactions_count_correctly(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    WATCH, read, MULTI, write, EXEC in a loop: each that returned has counted, exactly once.
    """
    counted = unknown = 0
    stopped = asyncio.Event()

    async def count() -> None:
        nonlocal counted, unknown

        async def add(pipe: Pipeline) -> None:
            seen = int(await pipe.get("counted") or 0)
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.set("counted", seen + 1)

        while not stopped.is_set():
            try:
                await redis.transaction(add, "counted")
                counted += 1
            except OutcomeUnknownError:
                unknown += 1
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(count()) for _ in range(3)]
    assert await eventually(lambda: counted > 20)
    await replace_master(group, fault)
    goal = counted + 20
    assert await eventually(lambda: counted > goal), (counted, unknown)
    stopped.set()
    await asyncio.gather(*tasks)
    total = int(await redis.get("counted") or 0)
    assert counted <= total <= counted + unknown, (counted, total, unknown)


@pytest.mark.asyncio
async def test_scan_that_spans_a_failover_ends(group: EmbeddedSentinel, redis: RedisClient) -> None:
    """
    scan_iter that meets another server half-way begins anew there, and names every key.
    """
    names = {f"key:{n}" for n in range(500)}
    await redis.mset(dict.fromkeys(names, "v"))
    await redis.wait(2, 2000)
    seen = set()
    async with asyncio.timeout(30):
        async for name in redis.scan_iter(count=10):
            seen.add(name)
            if len(seen) == 100:
                await replace_master(group, "planned")
    assert seen == names


@pytest.mark.asyncio
async def test_events_tell_of_the_failover(group: EmbeddedSentinel, recorder: Recorder) -> None:
    """
    Observers and streams see the change of master, with epoch and outage; stats keep the last.
    """
    async with RedisClient(group.settings, observers=[recorder]) as redis:
        stream = redis.events()
        old = group.master.address
        new = await replace_master(group, "killed")
        assert await redis.set("k", "v")
        assert await eventually(lambda: redis.stats().failovers == 1)
        last = redis.stats().last_failover
        assert last is not None
        assert (last.old, last.new) == (old, new.address)
        assert last.outage is not None
        assert 0 < last.outage < 10
        assert last in recorder.of(MasterChanged)
        assert await eventually(lambda: redis.topology.epoch >= 1)
        health = await redis.health_check()
        assert health["checks"]["last_failover"]["to"] == str(new.address)
    assert last in [event async for event in stream]
