"""
Exclusive connections: their number is bounded, and no place among them is ever lost.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import (
    NeedsOwnConnectionError,
    OutcomeUnknownError,
    RedisClient,
    UnavailableError,
)
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import ClientClosedError
from tests.commands.pair import lent
from tests.integration.observe import eventually, open_sockets, send_all, within

pytestmark = pytest.mark.asyncio


def narrow(group: EmbeddedSentinel, places: int) -> RedisClient:
    settings = group.settings.model_copy(
        update={"max_connections": places + 1, "command_timeout": 1.0}
    )
    return RedisClient(settings)


async def test_closing_ends_calls_that_wait_for_a_connection(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    They raise at once, dial nobody, and pop nothing that comes later.
    """
    before = open_sockets()
    redis = narrow(calm_group, 1)
    await redis.open()
    waiting = [asyncio.ensure_future(redis.blpop("closing", 0)) for _ in range(4)]
    await asyncio.sleep(0.2)
    with within(0.5):
        await redis.aclose()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    kinds = [type(each) for each in ended]  # the first one was on the wire
    assert kinds == [OutcomeUnknownError, *[ClientClosedError] * 3], ended
    assert open_sockets() <= before
    async with RedisClient(calm_group.settings) as other:
        await other.rpush("closing", "item")
        await asyncio.sleep(0.1)
        assert await other.lpop("closing") == "item"


async def test_calls_that_wait_for_a_connection_follow_the_master(group: EmbeddedSentinel) -> None:
    """
    None of them dials the hung master once there is another one.
    """
    async with narrow(group, 1) as redis:
        waiting = [asyncio.ensure_future(redis.blpop(f"q:{n}", 0)) for n in range(4)]
        await asyncio.sleep(0.2)
        old = group.master
        await group.pause(old)
        await group.wait_for_failover(old)
        async with RedisClient(group.settings) as other:
            for n in range(4):
                await other.rpush(f"q:{n}", n)
        async with asyncio.timeout(2):
            assert [item for _, item in await asyncio.gather(*waiting)] == list("0123")


async def test_monitor_hands_its_connection_back_whatever_happens(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    Refused by an ACL, cancelled, or left: the place is free again.
    """
    await calm_group.command(
        calm_group.master, "ACL", "SETUSER", "blind", "on", "nopass", "~*", "+@all", "-monitor"
    )
    settings = {"max_connections": 3, "username": "blind", "password": "any"}
    async with RedisClient(calm_group.settings.model_copy(update=settings)) as redis:
        for _ in range(5):
            with pytest.raises(Exception, match=r"(?i)monitor|permission"):
                await redis.monitor().__aenter__()
        assert lent(redis) == 0
    async with narrow(calm_group, 2) as redis:
        for turn in range(20):
            task = asyncio.create_task(redis.monitor().__aenter__())
            for _ in range(turn):
                await asyncio.sleep(0)
            task.cancel()
            (monitor,) = await asyncio.gather(task, return_exceptions=True)
            if not isinstance(monitor, BaseException):
                await monitor.__aexit__()
        async with redis.monitor() as monitor:
            await redis.set("seen", "v")
            assert (await monitor.next_command())["command"]
        assert await eventually(lambda: lent(redis) == 0)
    await calm_group.command(calm_group.master, "ACL", "DELUSER", "blind")


async def test_a_subscription_that_is_closed_while_it_is_read_ends(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    The reader's loop ends, and nobody subscribes to nothing in its place.
    """
    async with narrow(calm_group, 2) as redis:
        for _ in range(5):
            pubsub = redis.pubsub()
            await pubsub.subscribe("news")
            heard: list[object] = []

            async def listen(pubsub: object = pubsub, heard: list[object] = heard) -> None:
                heard.extend([each async for each in pubsub.listen()])  # type: ignore[attr-defined]

            listener = asyncio.create_task(listen())
            await asyncio.sleep(0.02)
            await pubsub.aclose()
            with within(1):
                await listener
        assert await eventually(lambda: lent(redis) == 0)
        assert await redis.pubsub_numsub("news") == [("news", 0)]


async def test_a_client_of_its_own_has_one_connection_and_hands_it_back(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    First used by many tasks at once it takes one; after its block it takes none.
    """
    async with narrow(calm_group, 3) as redis:
        own = redis.client()
        await asyncio.gather(*(own.echo("x") for _ in range(5)))
        assert lent(redis) == 1
        await own.aclose()
        async with redis.client() as own:
            await own.echo("x")
            with pytest.raises(NeedsOwnConnectionError, match="one reply"):
                await own.execute_command("CLIENT", "REPLY", "OFF")
        with pytest.raises(UnavailableError, match="handed back"):
            await own.echo("x")
        assert lent(redis) == 0


async def test_errors_on_connections_of_ones_own_say_what_is_true(group: EmbeddedSentinel) -> None:
    """
    A read, and what was never sent, changed nothing; WATCH changes nothing either.
    """
    async with RedisClient(group.settings) as redis:
        brief = redis.with_options(timeout=0.4)
        async with brief.client() as own:
            await own.get("k")
            await group.pause(group.master)
            with within(1), pytest.raises(UnavailableError):
                await own.get("k")
            await group.resume(group.master)
        with pytest.raises(UnavailableError):
            await own.incr("n")

        async def late(pipe: object) -> None:
            await group.pause(group.master)
            await pipe.get("k")  # type: ignore[attr-defined]

        with within(0.8), pytest.raises(UnavailableError):
            await brief.transaction(late, "k")
        with within(0.8), pytest.raises(UnavailableError):
            await brief.transaction(late, "k")


async def test_a_cancelled_transaction_on_a_hung_server_ends_at_once(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Nobody says goodbye to a server that owes a reply.
    """
    pipe = redis.pipeline()
    await pipe.watch("k")
    pipe.multi()
    await group.pause(group.master)
    with within(0.5), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await send_all(pipe, ("SET", "k", "v"))
    await group.resume(group.master)
    assert await eventually(lambda: lent(redis) == 0)


async def test_a_crowd_larger_than_the_line_is_served_while_all_is_well(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    `max_waiting` bounds who waits for a failover, not who is served.
    """
    settings = calm_group.settings.model_copy(update={"max_waiting": 5})
    async with RedisClient(settings) as redis:
        echoes = await asyncio.gather(*(redis.echo(str(n)) for n in range(2000)))
        assert echoes == [str(n) for n in range(2000)]


async def test_a_subscription_that_is_cut_again_and_again_is_made_again(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    Also where it is cut in the moment in which it is made.
    """
    async with narrow(calm_group, 3) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("news")
        heard = asyncio.Event()

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    heard.set()

        listener = asyncio.create_task(listen())
        for turn in range(60):
            await calm_group.command(calm_group.master, "CLIENT", "KILL", "TYPE", "pubsub")
            await calm_group.command(
                calm_group.master, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"
            )
            await asyncio.sleep(turn % 7 / 1000)
        async with asyncio.timeout(10):
            while not heard.is_set():
                await redis.publish("news", "still there")
                await asyncio.sleep(0.02)
        listener.cancel()
