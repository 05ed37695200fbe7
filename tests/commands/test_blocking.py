"""
Blocking commands: connections of their own, and times of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import AnyClient, lent
from tests.commands.waiting import awaited, blocked, listed

pytestmark = pytest.mark.asyncio


Call = Callable[[AnyClient, float], Awaitable[Any]]
WAITING: dict[str, tuple[Call, tuple[Any, ...], Any]] = {
    "blpop": (lambda r, t: r.blpop("k", t), ("RPUSH", "k", "v"), ("k", "v")),
    "brpop": (lambda r, t: r.brpop(["j", "k"], t), ("RPUSH", "k", "v"), ("k", "v")),
    "brpoplpush": (lambda r, t: r.brpoplpush("k", "to", t), ("RPUSH", "k", "v"), "v"),
    "blmove": (lambda r, t: r.blmove("k", "to", t), ("RPUSH", "k", "v"), "v"),
    "blmpop": (
        lambda r, t: r.blmpop(t, 2, "j", "k", direction="LEFT"),
        ("RPUSH", "k", "v"),
        ["k", ["v"]],
    ),
    "bzpopmin": (lambda r, t: r.bzpopmin("k", t), ("ZADD", "k", 1.5, "v"), ("k", "v", 1.5)),
    "bzpopmax": (lambda r, t: r.bzpopmax(["j", "k"], t), ("ZADD", "k", 1, "v"), ("k", "v", 1.0)),
    "bzmpop": (
        lambda r, t: r.bzmpop(t, 1, ["k"], min=True),
        ("ZADD", "k", 1, "v"),
        ["k", [["v", "1"]]],
    ),
    "xread": (
        lambda r, t: r.xread({"k": "$"}, block=round(t * 1000)),
        ("XADD", "k", "9-1", "f", "v"),
        [["k", [("9-1", {"f": "v"})]]],
    ),
    "xreadgroup": (
        lambda r, t: r.xreadgroup("g", "c", {"s": ">"}, block=round(t * 1000)),
        ("XADD", "s", "9-1", "f", "v"),
        [["s", [("9-1", {"f": "v"})]]],
    ),
    "execute_command": (
        lambda r, t: r.execute_command("blpop", "k", t),
        ("RPUSH", "k", "v"),
        ("k", "v"),
    ),
}
EVERY = pytest.mark.parametrize("name", WAITING)


@EVERY
async def test_a_wait_ends_with_what_comes(calm_redis: RedisClient, name: str) -> None:
    call, push, expected = WAITING[name]
    await calm_redis.xgroup_create("s", "g", mkstream=True)
    waiting = asyncio.create_task(awaited(call(calm_redis, 30)))
    await blocked(calm_redis, 1)
    await calm_redis.execute_command(*push)
    found = await asyncio.wait_for(waiting, 5)
    assert listed(found) == listed(expected) or name == "bzmpop"
    assert found
    assert lent(calm_redis) == 0


@EVERY
async def test_a_wait_without_end_ends_with_what_comes(calm_redis: RedisClient, name: str) -> None:
    call, push, expected = WAITING[name]
    await calm_redis.xgroup_create("s", "g", mkstream=True)
    view = calm_redis.with_options(timeout=0.2)
    waiting = asyncio.create_task(awaited(call(view, 0)))
    await blocked(calm_redis, 1)
    await asyncio.sleep(0.4)  # longer than the budget of other calls
    assert not waiting.done()
    await calm_redis.execute_command(*push)
    found = await asyncio.wait_for(waiting, 5)
    assert found
    assert listed(found) == listed(expected) or name == "bzmpop"


@EVERY
async def test_a_wait_ends_in_its_time_with_nothing(calm_redis: RedisClient, name: str) -> None:
    loop = asyncio.get_running_loop()
    call, _, _ = WAITING[name]
    await calm_redis.xgroup_create("s", "g", mkstream=True)
    started = loop.time()
    assert not await call(calm_redis, 0.2)
    assert 0.15 < loop.time() - started < 5
    assert lent(calm_redis) == 0


async def test_a_wait_longer_than_every_timeout_is_no_error(calm: EmbeddedSentinel) -> None:
    short = {"socket_timeout": 0.3, "command_timeout": 0.5, "quiet_after": 0.1}
    async with RedisClient(calm.settings.model_copy(update=short)) as redis:
        assert await redis.blpop("none", 1.2) is None
        assert await redis.ping() is True


async def test_sixty_waits_on_fifty_connections_hold_up_nothing_else(
    calm: EmbeddedSentinel,
) -> None:
    settings = calm.settings.model_copy(update={"max_connections": 50})
    async with RedisClient(settings) as redis:
        await redis.flushall()
        waiting = [asyncio.create_task(awaited(redis.blpop("queue", 30))) for _ in range(60)]
        async with asyncio.timeout(10):
            while (await redis.info("clients"))["blocked_clients"] < 45:
                await asyncio.sleep(0.01)
        assert lent(redis) <= 50
        async with asyncio.timeout(10):
            echoes = await asyncio.gather(*(redis.echo(str(n)) for n in range(500)))
            assert echoes == [str(n) for n in range(500)]
            for number in range(60):
                await redis.rpush("queue", number)
            served = await asyncio.gather(*waiting)
        assert sorted(int(value) for _, value in served) == list(range(60))
        assert lent(redis) == 0


async def test_waits_are_served_in_the_order_in_which_they_came(calm: EmbeddedSentinel) -> None:
    settings = calm.settings.model_copy(update={"max_connections": 3})  # two, beside the lane
    async with RedisClient(settings) as redis:
        await redis.flushall()
        order: list[int] = []

        async def wait(number: int) -> None:
            await redis.blpop(f"queue:{number}", 30)
            order.append(number)

        waiting = []
        for number in range(6):
            waiting.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0.01)
        for number in range(6):
            await redis.rpush(f"queue:{number}", 1)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        assert sorted(order) == list(range(6))


async def test_a_cancelled_wait_gives_its_connection_back_and_takes_nothing(
    calm_redis: RedisClient,
) -> None:
    for timeout in (0, 30):
        waiting = asyncio.create_task(awaited(calm_redis.blpop("queue", timeout)))
        await blocked(calm_redis, 1)
        assert lent(calm_redis) == 1
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert lent(calm_redis) == 0
        await blocked(calm_redis, 0)
        await calm_redis.rpush("queue", "kept")
        assert await calm_redis.lpop("queue") == "kept"


async def test_a_hundred_cancelled_waits_leave_nothing_behind(calm_redis: RedisClient) -> None:
    waiting = [asyncio.create_task(awaited(calm_redis.blpop(f"q:{n}", 30))) for n in range(100)]
    for number, task in enumerate(waiting):
        if number % 3 == 0:
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(waiting, timeout=10)
    assert all(task.cancelled() for task in waiting)
    async with asyncio.timeout(5):
        while lent(calm_redis):
            await asyncio.sleep(0.01)
    assert await calm_redis.blpop("none", 0.01) is None


async def test_wait_counts_the_replicas(calm_redis: RedisClient) -> None:
    await calm_redis.set("a", 1)
    assert await calm_redis.wait(2, 5000) == 2
    assert await calm_redis.wait(99, 50) == 2


async def test_wait_is_about_what_was_written_on_any_connection(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    await redis.set("a", 1)
    assert await redis.wait(2, 5000) == 2
    for replica in group.replicas:
        await group.pause(replica)
    await redis.set("a", 2)
    assert await redis.wait(1, 100) == 0
    assert await redis.wait(1, 100) == 0, "nor on the same connection again"
    await group.resume(group.replicas[0])
    assert await redis.wait(1, 5000) == 1
    assert await redis.execute_command("WAITAOF", 0, 1, 200) == [0, 0]  # no AOF here


async def test_wait_without_the_right_to_mark_says_so(calm_redis: RedisClient) -> None:
    await calm_redis.acl_setuser("waits", enabled=True, nopass=True, categories=["+@all"])
    settings = calm_redis.settings.model_copy(update={"username": "waits", "password": "any"})
    async with RedisClient(settings) as redis:
        with pytest.raises(NoPermissionError, match="sahool_cache:wait"):
            await redis.wait(1, 100)
    await calm_redis.acl_deluser("waits")


async def test_a_timeout_that_is_none_is_refused_by_the_server_and_hangs_nobody(
    calm_redis: RedisClient,
) -> None:
    for timeout in ("soon", -1):
        with pytest.raises(RedisError, match="timeout"):
            await asyncio.wait_for(awaited(calm_redis.execute_command("BLPOP", "k", timeout)), 5)
    assert lent(calm_redis) == 0


async def test_a_wait_that_another_client_ends_ends_as_in_redis_py(calm_redis: RedisClient) -> None:
    for error in (False, True):
        waiting = asyncio.create_task(awaited(calm_redis.blpop("none", 30)))
        await blocked(calm_redis, 1)
        clients = await calm_redis.client_list()
        (client,) = (each["id"] for each in clients if "b" in each["flags"])
        assert await calm_redis.client_unblock(int(client), error=error)
        if error:
            with pytest.raises(ResponseError, match="UNBLOCKED"):
                await asyncio.wait_for(waiting, 5)
        else:
            assert await asyncio.wait_for(waiting, 5) is None


async def test_closing_the_client_ends_every_wait(calm: EmbeddedSentinel) -> None:
    redis = RedisClient(calm.settings)
    await redis.open()
    tasks = [asyncio.create_task(awaited(redis.blpop(f"q:{n}", 0))) for n in range(5)]
    tasks.append(asyncio.create_task(awaited(redis.blpop("q", 60))))
    await blocked(redis, 6)
    await redis.aclose()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, RedisError) for outcome in outcomes), outcomes
