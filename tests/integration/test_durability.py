"""
Durable writes: confirmed by replicas, or an error that says so; whole through planned failovers.
"""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ResponseError, WatchError

from sahool_cache import NotDurableError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.integration.load import Load
from tests.integration.observe import open_sockets, send_all, within

pytestmark = pytest.mark.asyncio


async def test_every_kind_of_write_is_confirmed(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Plain, staged, watched, blocking: the reply is redis-py's, and the replicas have it.
    """
    durable = redis.with_options(durability="all")
    assert await durable.set("k", 1) is True
    assert await durable.incr("k") == 2
    assert await send_all(durable.pipeline(transaction=False), ("INCR", "k")) == [3]
    assert await send_all(durable.pipeline(), ("INCR", "k"), ("GET", "k")) == [4, "4"]

    async def add(pipe: object) -> None:
        value = int(await pipe.get("k"))  # type: ignore[attr-defined]
        pipe.multi()  # type: ignore[attr-defined]
        pipe.set("k", value + 1)  # type: ignore[attr-defined]

    assert await durable.transaction(add, "k") == [True]
    await durable.rpush("l", "item")
    assert await durable.blpop("l", 1) == ("l", "item")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await durable.lpush("k", "x")
    for replica in group.replicas:
        assert await group.command(replica, "GET", "k") == "5"


async def test_too_few_replicas_are_an_error_for_writes_only(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    With hung replicas a durable write ran, and says that it is not confirmed; reads and questions
    go on.
    """
    durable = redis.with_options(durability=1)
    await durable.set("k", "v")
    for replica in group.replicas:
        await group.pause(replica)
    with within(2), pytest.raises(NotDurableError) as caught:
        await durable.set("k", "secret")
    assert (caught.value.confirmed, caught.value.wanted, caught.value.reply) == (0, 1, "OK")
    assert caught.value.node == str(group.master.address)
    assert "secret" not in str(caught.value)
    assert await durable.get("k") == "secret"
    assert (await durable.info("server"))["redis_version"]
    for pipe in (durable.pipeline(), durable.pipeline(transaction=False)):
        with within(2), pytest.raises(NotDurableError):
            await send_all(pipe, ("INCR", "n"))
    with within(2), pytest.raises(NotDurableError):
        await durable.with_options(durability="all").incr("n")
    await group.resume(group.replicas[0])
    assert await durable.set("k", "confirmed") is True


async def test_the_settings_make_every_write_durable(group: EmbeddedSentinel) -> None:
    """
    `durability` and `durability_timeout` as settings, and a view that wants less.
    """
    settings = group.settings.model_copy(update={"durability": 9, "durability_timeout": 0.05})
    async with RedisClient(settings) as redis:
        with within(2), pytest.raises(NotDurableError, match="2 of 9"):
            await redis.set("k", "v")
        assert await redis.with_options(durability=2).set("k", "v") is True
        assert await redis.with_options(durability=0).set("k", "v") is True
    for wrong in (-1, 1.5, True, "most"):
        with pytest.raises(ValueError, match="durability"):
            redis.with_options(durability=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", [1, "all"])
async def test_planned_failover_loses_nothing_that_was_confirmed(
    group: EmbeddedSentinel, durability: int | str
) -> None:
    """
    Writers go on over a planned failover: no error of what may be repeated, none lost or doubled.
    """
    settings = group.settings.model_copy(update={"durability": durability})
    async with RedisClient(settings) as redis:
        async with Load(redis, writers=6, readers=1) as load:
            await load.flows()
            old = await group.failover()
            await group.wait_for_failover(old)
            await load.flows(200)
        report = await load.report(group)
    repeatable = {name for name in report.errors if not name.startswith("incr")}
    assert repeatable == set(), report
    assert (report.lost, report.duplicates) == (0, 0), report


async def test_a_crash_ends_waiting_writes_in_time(group: EmbeddedSentinel) -> None:
    """
    Durable writes wait for a master whose replicas follow, and none of what was confirmed is lost.
    """
    settings = group.settings.model_copy(update={"durability": "all"})
    async with RedisClient(settings) as redis:
        async with Load(redis, writers=6, readers=1) as load:
            await load.flows()
            await group.kill_master()
            await load.flows(200)
        report = await load.report(group)
    assert {name for name in report.errors if not name.startswith("incr")} == set(), report
    assert (report.lost, report.duplicates) == (0, 0), report


async def test_cancelled_and_closed_durable_writes_leave_nothing_behind(
    group: EmbeddedSentinel,
) -> None:
    """
    Cancelled at any moment, the connection goes on in step; closing leaves no socket.
    """
    before = open_sockets()
    async with RedisClient(group.settings) as redis:
        durable = redis.with_options(durability="all")
        for turn in range(150):
            tasks = [asyncio.create_task(durable.set(f"k:{n}", turn)) for n in range(3)]  # type: ignore[arg-type]
            for _ in range(turn % 30):
                await asyncio.sleep(0)
            tasks[turn % 3].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await durable.incr("turns") == turn + 1
        tasks = [asyncio.create_task(durable.incr("n")) for _ in range(10)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert open_sockets() <= before


async def test_a_write_that_ran_is_told_so_whatever_the_replicas_do(
    group: EmbeddedSentinel,
) -> None:
    """
    The budget ends while replicas are waited for: not durable, the error reply, or a conflict; and
    in time.
    """
    settings = group.settings.model_copy(update={"durability_timeout": 0.9})
    async with RedisClient(settings) as redis:
        brief = redis.with_options(timeout=0.4, durability=1)
        await redis.with_options(durability=2).set("text", "v")
        for replica in group.replicas:
            await group.pause(replica)
        with within(0.8), pytest.raises(NotDurableError) as caught:
            await brief.incr("n")
        assert caught.value.reply == 1
        await asyncio.sleep(0.6)  # until the replicas are asked no more
        with within(0.8), pytest.raises(ResponseError, match="WRONGTYPE"):
            await brief.lpush("text", "x")
        async with brief.pipeline() as pipe:
            await pipe.watch("n")
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.incr("n")
            with within(0.8), pytest.raises(NotDurableError):
                await pipe.execute()
        async with brief.pipeline() as pipe:
            await pipe.watch("n")
            await redis.incr("n")
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.incr("n")
            with pytest.raises(WatchError):
                await pipe.execute()
        assert await redis.get("n") == "3"


@pytest.mark.parametrize("without", ["-role", "-wait"])
async def test_a_server_that_may_not_tell_is_asked_once(
    group: EmbeddedSentinel, without: str
) -> None:
    """
    An ACL that withholds ROLE or WAIT: the write runs once, and the error says why.
    """
    await group.command(
        group.master, "ACL", "SETUSER", "app", "on", "nopass", "~*", "&*", "+@all", without
    )
    settings = {"username": "app", "password": "any", "durability": "all"}
    async with RedisClient(group.settings.model_copy(update=settings)) as redis:
        with within(1), pytest.raises(NotDurableError, match="refused to tell"):
            await redis.set("k", "v")
        assert redis.stats().repeats == 0
