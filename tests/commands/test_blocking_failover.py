"""
Waits follow the master: without end whatever happens, for a time where nothing can have run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sahool_cache import OutcomeUnknownError, RedisClient
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import lent
from tests.commands.waiting import awaited, blocked, listed

pytestmark = pytest.mark.asyncio


async def killed(group: EmbeddedSentinel) -> None:
    await group.kill_master()


async def planned(group: EmbeddedSentinel) -> None:
    await group.failover()


SOME_WORK = "local sum = 0; for n = 1, 2000000 do sum = sum + n end; return sum"
"""Keeps a server busy for about 20 ms: the clock that a script could look at stands meanwhile."""

FAULTS = pytest.mark.parametrize("fault", [killed, planned])
Fault = Callable[[EmbeddedSentinel], Awaitable[None]]


@FAULTS
async def test_waits_without_end_follow_the_master(
    group: EmbeddedSentinel, redis: RedisClient, fault: Fault
) -> None:
    await redis.xgroup_create("s", "g", mkstream=True)
    await redis.wait(2, 5000)
    waiting = {
        "blpop": asyncio.create_task(awaited(redis.blpop("list"))),
        "bzpopmin": asyncio.create_task(awaited(redis.bzpopmin("zset"))),
        "blmove": asyncio.create_task(awaited(redis.blmove("from", "to", 0))),
        "xread": asyncio.create_task(awaited(redis.xread({"x": "0"}, block=0))),
        "xreadgroup": asyncio.create_task(awaited(redis.xreadgroup("g", "c", {"s": ">"}, block=0))),
    }
    await blocked(redis, len(waiting))
    old = group.master
    await fault(group)
    new = await group.wait_for_failover(old)
    assert not any(task.done() for task in waiting.values())
    async with asyncio.timeout(10):
        while redis.topology.master != new.address:
            await asyncio.sleep(0.01)
    await blocked(redis, len(waiting), at_most=15)
    await redis.rpush("list", "v")
    await redis.zadd("zset", {"m": 1})
    await redis.rpush("from", "v")
    await redis.xadd("x", {"f": "v"}, id="1-1")
    await redis.xadd("s", {"f": "v"}, id="1-1")
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting.values())
    assert {name: listed(task.result()) for name, task in waiting.items()} == {
        "blpop": ["list", "v"],
        "bzpopmin": ["zset", "m", 1.0],
        "blmove": "v",
        "xread": [["x", [["1-1", {"f": "v"}]]]],
        "xreadgroup": [["s", [["1-1", {"f": "v"}]]]],
    }
    assert lent(redis) == 0


async def test_a_finite_wait_follows_a_planned_failover_with_the_time_that_is_left(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    empty = asyncio.create_task(awaited(redis.blpop("none", 4)))
    filled = asyncio.create_task(awaited(redis.brpop("list", 30)))
    stream = asyncio.create_task(awaited(redis.xread({"x": "0"}, block=4000)))
    await blocked(redis, 3)
    old = group.master
    await group.failover()
    new = await group.wait_for_failover(old)
    async with asyncio.timeout(10):
        while redis.topology.master != new.address:
            await asyncio.sleep(0.01)
    await redis.rpush("list", "v")
    assert await asyncio.wait_for(filled, 5) == ("list", "v")
    assert await asyncio.wait_for(empty, 10) is None
    assert await asyncio.wait_for(stream, 10) in ([], {}, None)
    assert 3.9 < loop.time() - started < 7
    assert lent(redis) == 0


async def test_a_finite_wait_that_a_crash_cut_is_outcome_unknown_if_it_may_have_taken_something(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    popping = asyncio.create_task(awaited(redis.blpop("list", 20)))
    reading = asyncio.create_task(awaited(redis.xread({"x": "0"}, block=20_000)))
    await blocked(redis, 2)
    await group.kill_master()
    with pytest.raises(OutcomeUnknownError, match="BLPOP"):
        await asyncio.wait_for(popping, 10)
    await blocked(redis, 1, at_most=15)
    await redis.xadd("x", {"f": "v"}, id="1-1")
    assert listed(await asyncio.wait_for(reading, 5)) == [["x", [["1-1", {"f": "v"}]]]]
    assert lent(redis) == 0


async def test_a_wait_begun_in_an_outage_starts_at_the_new_master(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    old = await group.kill_master()
    waiting = asyncio.create_task(awaited(redis.blpop("list", 0)))
    await group.wait_for_failover(old)
    await blocked(redis, 1)
    await redis.rpush("list", "v")
    assert await asyncio.wait_for(waiting, 5) == ("list", "v")


async def test_a_wait_follows_out_of_a_hang(group: EmbeddedSentinel, redis: RedisClient) -> None:
    waiting = asyncio.create_task(awaited(redis.blpop("list", 0)))
    await blocked(redis, 1)
    old = group.master
    await group.pause(old)
    new = await group.wait_for_failover(old)
    async with asyncio.timeout(10):
        while redis.topology.master != new.address:
            await asyncio.sleep(0.01)
    await redis.rpush("list", "v")
    assert await asyncio.wait_for(waiting, 10) == ("list", "v")


async def test_a_wait_that_reaches_the_server_just_after_the_fence_went_up_is_moved(
    redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis.chain is not None
    fleet = redis.chain.fleet
    assert fleet.master is not None
    pool = fleet.master.node.pool
    assert pool is not None
    borrow = pool.borrow

    async def borrow_late() -> ManagedConnection:
        connection = await borrow()
        monkeypatch.undo()
        working.append(asyncio.create_task(awaited(redis.eval(SOME_WORK, 0))))
        await asyncio.sleep(0.001)  # the server works, so what is in flight is waited for
        fleet.watcher._fence.put_up("+selected-slave", crash=False)
        await asyncio.sleep(0.003)  # who waits already has been told to go
        return connection

    working: list[asyncio.Task[None]] = []
    monkeypatch.setattr(pool, "borrow", borrow_late)
    assert await redis.blpop(["nothing"], 1) is None
    await asyncio.gather(*working)
