"""
Callers that give up at every moment: no leak, and no reply reaches another's caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.pipeline import Pipeline
from tests.integration.observe import eventually, other_tasks, within

STEPS = 60
CANARIES = 25
CONNECTIONS = 4
"""So few that the exclusive calls of a scenario also wait for one another."""


@pytest_asyncio.fixture
async def narrow(calm_group: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    A client with few connections, and with what the scenarios read.
    """
    settings = calm_group.settings.model_copy(update={"max_connections": CONNECTIONS})
    async with RedisClient(settings) as redis:
        await redis.flushdb()
        await redis.mset({f"canary:{n}": f"sings {n}" for n in range(CANARIES)})
        await redis.mset({f"scanned:{n}": n for n in range(50)})
        await redis.wait(2, 2000)
        yield redis


async def watch_and_count(redis: RedisClient) -> None:
    async def count(pipe: Pipeline) -> None:
        seen = int(await pipe.get("counted") or 0)
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.set("counted", seen + 1)

    await redis.transaction(count, "counted")


async def subscribe_and_read(redis: RedisClient) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.get_message(timeout=0.05)
        await pubsub.get_message(timeout=0.05)


async def scan(redis: RedisClient) -> None:
    async for _ in redis.scan_iter(match="scanned:*", count=10):
        pass


async def pinned(redis: RedisClient) -> None:
    async with redis.client() as own:
        await own.echo("mine")
        await own.echo("mine again")


async def batch(redis: RedisClient, *, transaction: bool) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        for n in range(20):
            pipe.get(f"canary:{n}")
        assert await pipe.execute() == [f"sings {n}" for n in range(20)]


async def wrong_value(redis: RedisClient, n: int) -> None:
    assert await redis.get(f"canary:{n}") == f"sings {n}"


def scenario(redis: RedisClient) -> list[Awaitable[Any]]:
    """
    Every kind of call at once.
    """
    return [
        *(wrong_value(redis, n) for n in range(CANARIES)),
        *(redis.set(f"own:{n}", "v" * 3000) for n in range(5)),
        redis.replica.get("canary:1"),
        redis.with_options(decode_responses=False).get("canary:1"),
        redis.with_options(timeout=0.01).get("canary:1"),
        batch(redis, transaction=True),
        batch(redis, transaction=False),
        watch_and_count(redis),
        watch_and_count(redis),
        redis.blpop("never", timeout=0.05),
        redis.blpop("never", timeout=0.05),
        redis.execute_command("NO.SUCH.COMMAND"),
        subscribe_and_read(redis),
        subscribe_and_read(redis),
        scan(redis),
        pinned(redis),
        redis.eval("return redis.call('GET', KEYS[1])", 1, "canary:2"),
        redis.ping(),
    ]


async def sing(redis: RedisClient) -> None:
    """
    Fails if any reply is out of step, on the shared lane, in a batch or on a connection of its own.
    """
    for _ in range(2):
        songs = [redis.get(f"canary:{n}") for n in range(CANARIES)]
        expected = [f"sings {n}" for n in range(CANARIES)]
        assert await asyncio.gather(*songs) == expected
        await batch(redis, transaction=True)
    # As many at once as there are exclusive connections: none of them may be lost or in use.
    await asyncio.gather(*(pinned(redis) for _ in range(CONNECTIONS)))


def idle(redis: RedisClient) -> bool:
    stats = redis.stats()
    lent = sum(node.exclusive for node in stats.nodes)
    return (lent, stats.in_flight, stats.waiting) == (0, 0, 0)


async def cancelled(
    redis: RedisClient, moment: Callable[[], Awaitable[None]], *, one_by_one: bool = False
) -> None:
    """
    Starts the scenario, cancels it at that moment, and checks that nobody else can tell.
    """
    before = other_tasks()
    tasks = [asyncio.ensure_future(call) for call in scenario(redis)]
    await moment()
    for task in tasks:
        task.cancel()
        if one_by_one:
            await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        assert not isinstance(result, AssertionError), result
    async with asyncio.timeout(10):
        await sing(redis)
    assert await eventually(lambda: idle(redis), 3), redis.stats()
    assert {name for name in other_tasks() - before if not name.startswith("sahool_cache")} == set()


@pytest.mark.asyncio
async def test_cancelled_after_any_number_of_steps(narrow: RedisClient) -> None:
    """
    All calls are cancelled after k steps of the event loop, for every k.
    """
    for steps in range(STEPS):

        async def moment() -> None:
            for _ in range(steps):  # noqa: B023
                await asyncio.sleep(0)

        await cancelled(narrow, moment)


@pytest.mark.asyncio
async def test_cancelled_one_by_one(narrow: RedisClient) -> None:
    """
    The calls are cancelled at different steps, while the others go on.
    """
    for steps in range(0, STEPS, 3):

        async def moment() -> None:
            for _ in range(steps):  # noqa: B023
                await asyncio.sleep(0)

        await cancelled(narrow, moment, one_by_one=True)


@pytest.mark.asyncio
async def test_cancelled_after_some_time(narrow: RedisClient) -> None:
    """
    The calls are cancelled while they wait for the network, from 0.5 to 60 ms.
    """
    for n in range(24):
        await cancelled(narrow, lambda: asyncio.sleep(0.0005 * 1.23**n))  # noqa: B023


@pytest.mark.asyncio
async def test_cancelled_in_an_outage(group: EmbeddedSentinel) -> None:
    """
    Callers that give up before, during and after the switch leave nothing behind.
    """
    settings = group.settings.model_copy(update={"max_connections": CONNECTIONS})
    async with RedisClient(settings) as redis:
        await redis.mset({f"canary:{n}": f"sings {n}" for n in range(CANARIES)})
        await redis.wait(2, 2000)
        old = group.master
        await group.pause(old)
        for _ in range(60):
            tasks = [asyncio.ensure_future(call) for call in scenario(redis)]
            await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                assert not isinstance(result, AssertionError), result
            assert redis.stats().waiting == 0
        await group.wait_for_failover(old)
        await redis.wait_ready()
        async with asyncio.timeout(10):
            await sing(redis)
        assert await eventually(lambda: idle(redis), 3), redis.stats()


@pytest.mark.asyncio
async def test_timeouts_of_the_caller(narrow: RedisClient) -> None:
    """
    asyncio.timeout round a call that waits without end: it ends in time, its connection returns.
    """
    for _ in range(CONNECTIONS * 3):
        with within(2), pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await narrow.blpop("never", timeout=0)
    assert await eventually(lambda: idle(narrow), 3), narrow.stats()
    async with asyncio.timeout(5):  # the server has noticed that nobody waits any more
        while (await narrow.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
    await narrow.rpush("never", "v")
    assert await narrow.llen("never") == 1, "a cancelled BLPOP went on and popped"


@pytest.mark.asyncio
async def test_lane_whose_callers_have_all_gone_stays_in_step(narrow: RedisClient) -> None:
    """
    Thousands of cancelled callers on one lane, and those in between get their own replies.
    """

    async def call(n: int) -> str:
        return str(await narrow.echo(f"call {n}"))

    tasks = [asyncio.create_task(call(n)) for n in range(5000)]
    await asyncio.sleep(0)
    for n, task in enumerate(tasks):
        if n % 7:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [result for n, result in enumerate(results) if n % 7 == 0]
    assert kept == [f"call {n}" for n in range(5000) if n % 7 == 0]
    await sing(narrow)
    assert await eventually(lambda: idle(narrow), 3), narrow.stats()
