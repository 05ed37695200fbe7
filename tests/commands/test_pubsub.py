"""
Subscriptions: what redis-py's PubSub does, and that they follow the master.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.pubsub import PubSub
from tests.commands.pair import lent

pytestmark = pytest.mark.asyncio


async def messages(pubsub: PubSub, count: int, at_most: float = 10.0) -> list[dict[str, Any]]:
    """
    The next so many messages, confirmations among them.
    """
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(at_most):
        while len(found) < count:
            message = await pubsub.get_message(timeout=1.0)
            if message is not None:
                found.append(message)
    return found


async def until_heard(redis: RedisClient, channel: str, pubsub: PubSub) -> None:
    """
    Publishes until `pubsub` receives one.
    """
    async with asyncio.timeout(20):
        while True:
            try:
                await redis.publish(channel, "again")
            except RedisError:
                await asyncio.sleep(0.05)
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
            if message is not None and message["channel"] == channel:
                return


async def test_messages_and_confirmations_equal_redis_pys(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    host, port = calm.master.address

    async def heard(client: Any) -> list[Any]:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("news", "other")
            await pubsub.psubscribe("n*")
            found = await messages(pubsub, 3)
            assert await client.publish("news", "hello") >= 2
            found += await messages(pubsub, 2)
            await pubsub.unsubscribe("news", "other")
            await pubsub.punsubscribe()
            found += await messages(pubsub, 3)
            assert pubsub.subscribed is False
            return found

    async with Redis(host=host, port=port, decode_responses=True) as theirs:
        expected = await heard(theirs)
    assert await heard(calm_redis) == expected
    assert expected[3] == {"type": "message", "pattern": None, "channel": "news", "data": "hello"}


async def test_replies_are_bytes_where_the_view_says_so(calm_redis: RedisClient) -> None:
    async with calm_redis.with_options(decode_responses=False).pubsub() as pubsub:
        await pubsub.subscribe("raw")
        assert (await messages(pubsub, 1))[0]["channel"] == b"raw"
        await calm_redis.publish("raw", b"\xff")
        assert (await messages(pubsub, 1))[0]["data"] == b"\xff"


async def test_a_handler_takes_the_message_in_place_of_the_caller(calm_redis: RedisClient) -> None:
    heard: list[Any] = []

    def now(message: dict[str, Any]) -> None:
        heard.append(("plain", message["data"]))

    async def later(message: dict[str, Any]) -> None:
        heard.append(("async", message["data"]))

    async with calm_redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(now=now, later=later)
        await calm_redis.publish("now", "1")
        await calm_redis.publish("later", "2")
        async with asyncio.timeout(5):
            while len(heard) < 2:
                assert await pubsub.get_message(timeout=0.5) is None
    assert heard == [("plain", "1"), ("async", "2")]


async def test_get_message_gives_none_after_its_timeout(calm_redis: RedisClient) -> None:
    loop = asyncio.get_running_loop()
    async with calm_redis.pubsub() as pubsub:
        await pubsub.subscribe("quiet")
        await messages(pubsub, 1)
        assert await pubsub.get_message() is None
        started = loop.time()
        assert await pubsub.get_message(timeout=0.2) is None
        assert 0.15 < loop.time() - started < 3.0


async def test_get_message_before_a_subscription_is_as_in_redis_py(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    host, port = calm.master.address
    async with Redis(host=host, port=port) as theirs:
        for pubsub in (theirs.pubsub(), calm_redis.pubsub()):
            with pytest.raises(RuntimeError, match=r"subscribe\(\)"):
                await pubsub.get_message(timeout=0.05)
            await pubsub.aclose()


async def test_listen_gives_every_message_in_order_and_ends_with_the_last_subscription(
    calm_redis: RedisClient,
) -> None:
    async def publish() -> None:
        for number in range(500):
            await calm_redis.publish("busy", number)

    heard: list[str] = []
    async with asyncio.timeout(20), calm_redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("busy")
        publishing = asyncio.create_task(publish())
        async for message in pubsub.listen():
            heard.append(message["data"])
            if len(heard) == 500:
                await pubsub.unsubscribe()
        await publishing
    assert heard == [str(number) for number in range(500)]


async def test_a_thousand_channels(calm_redis: RedisClient) -> None:
    names = [f"channel:{number}" for number in range(1000)]
    async with calm_redis.pubsub() as pubsub:
        await pubsub.subscribe(*names)
        assert {message["channel"] for message in await messages(pubsub, 1000)} == set(names)
        async with calm_redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.publish(name, name)
            assert set(await pipe.execute()) == {1}
        assert [message["data"] for message in await messages(pubsub, 1000)] == names
    assert lent(calm_redis) == 0


async def test_sharded_channels(calm_redis: RedisClient) -> None:
    async with calm_redis.pubsub() as pubsub:
        await pubsub.ssubscribe("shard")
        assert (await messages(pubsub, 1))[0]["type"] == "ssubscribe"
        await calm_redis.spublish("shard", "x")
        assert (await messages(pubsub, 1))[0]["data"] == "x"


async def test_subscribers_do_not_hold_up_other_commands(calm: EmbeddedSentinel) -> None:
    settings = calm.settings.model_copy(update={"max_connections": 5})
    async with RedisClient(settings) as redis:
        subscriptions = [redis.pubsub() for _ in range(4)]
        for pubsub in subscriptions:
            await pubsub.subscribe("all")
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(redis.echo(str(n)) for n in range(100)))
            assert await redis.publish("all", "x") == 4
        for pubsub in subscriptions:
            await pubsub.aclose()
        assert lent(redis) == 0


async def test_a_cancelled_listener_gives_its_connection_back_when_closed(
    calm_redis: RedisClient,
) -> None:
    async def listen() -> None:
        async with calm_redis.pubsub() as pubsub:
            await pubsub.subscribe("c")
            async for _ in pubsub.listen():
                started.set()

    started = asyncio.Event()
    task = asyncio.create_task(listen())
    await asyncio.wait_for(started.wait(), 5)
    assert lent(calm_redis) == 1
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert lent(calm_redis) == 0


async def test_a_listener_that_was_cancelled_can_be_listened_to_again(
    calm_redis: RedisClient,
) -> None:
    async with calm_redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("c")
        for number in range(20):
            waiting = asyncio.create_task(pubsub.get_message(timeout=5))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
        await calm_redis.publish("c", "last")
        assert (await messages(pubsub, 1))[0]["data"] == "last"


async def test_closing_ends_the_subscription_at_the_server_and_may_be_done_twice(
    calm_redis: RedisClient,
) -> None:
    pubsub = calm_redis.pubsub()
    await pubsub.subscribe("gone")
    await messages(pubsub, 1)
    await pubsub.aclose()
    await pubsub.aclose()
    async with asyncio.timeout(5):
        while await calm_redis.publish("gone", "x"):
            await asyncio.sleep(0.01)
    assert lent(calm_redis) == 0
    await pubsub.subscribe("gone")
    assert (await messages(pubsub, 1))[0]["type"] == "subscribe"
    await pubsub.aclose()


async def killed(group: EmbeddedSentinel) -> None:
    await group.kill_master()


async def planned(group: EmbeddedSentinel) -> None:
    await group.failover()


async def hung(group: EmbeddedSentinel) -> None:
    await group.pause(group.master)


@pytest.mark.parametrize("fault", [killed, planned, hung])
async def test_subscriptions_are_made_again_at_the_new_master(
    group: EmbeddedSentinel, fault: Callable[[EmbeddedSentinel], Awaitable[None]]
) -> None:
    patterns: list[Any] = []
    async with RedisClient(group.settings) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe("plain", "second")
        await pubsub.psubscribe(**{"pat*": patterns.append})
        await messages(pubsub, 3)
        old = group.master
        await fault(group)
        new = await group.wait_for_failover(old)
        await until_heard(redis, "plain", pubsub)
        await until_heard(redis, "second", pubsub)
        async with asyncio.timeout(10):
            while not patterns:
                await redis.publish("pattern", "x")
                await pubsub.get_message(timeout=0.2)
        # One subscription, and at the new master.
        assert await group.command(new, "PUBSUB", "NUMSUB", "plain") == ["plain", 1]
        assert set(pubsub.channels) == {"plain", "second"}
        assert lent(redis) == 1
    assert lent(redis) == 0


@pytest.mark.parametrize("fault", [killed, hung])
async def test_a_listener_goes_on_over_a_failover_without_an_error(
    group: EmbeddedSentinel, fault: Callable[[EmbeddedSentinel], Awaitable[None]]
) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe("news")
            ready.set()
            async for message in pubsub.listen():
                if message["data"] == "after":
                    heard.set()

    ready = asyncio.Event()
    async with RedisClient(group.settings) as redis:
        listening = asyncio.create_task(listen())
        await asyncio.wait_for(ready.wait(), 5)
        old = group.master
        await fault(group)
        await group.wait_for_failover(old)
        async with asyncio.timeout(20):
            while not heard.is_set():
                assert not listening.done()
                with suppress(RedisError):
                    await redis.publish("news", "after")
                await asyncio.sleep(0.05)
        listening.cancel()
        await asyncio.wait({listening})


async def test_closing_in_an_outage_takes_no_time(group: EmbeddedSentinel) -> None:
    loop = asyncio.get_running_loop()
    async with RedisClient(group.settings) as redis:
        pubsub = redis.pubsub()
        await pubsub.subscribe("c")
        await group.kill_master()
        await pubsub.get_message(timeout=0.05)
        started = loop.time()
        await pubsub.aclose()
        assert loop.time() - started < 1.0
        assert lent(redis) == 0
