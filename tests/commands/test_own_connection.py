"""
`client()`, `monitor()`, callbacks, and the facades of modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from sahool_cache import NeedsOwnConnectionError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import AnyClient, lent
from tests.commands.waiting import awaited

pytestmark = pytest.mark.asyncio


async def test_a_client_of_one_connection_keeps_its_state_and_leaks_none(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    await calm_redis.set("k", "in db 0")
    for _ in range(3):
        async with calm_redis.client() as connection:
            assert await connection.client_getname() is None
            await connection.select(1)
            assert await connection.get("k") is None
            await connection.set("k", "in db 1")
            assert await connection.client_setname("mine") is True
            assert await connection.client_getname() == "mine"
            assert lent(calm_redis) == 1
            await connection.flushdb()
        assert lent(calm_redis) == 0
        assert await calm_redis.get("k") == "in db 0"
        assert await calm_redis.blpop("none", 0.01) is None
        async with calm_redis.pipeline() as pipe:
            await pipe.watch("k")
            assert await pipe.get("k") == "in db 0"


async def test_a_raw_multi_on_a_client_of_one_connection(calm_redis: RedisClient) -> None:
    async with calm_redis.client() as connection:
        assert await connection.execute_command("MULTI") in (True, "OK")
        assert await connection.execute_command("INCR", "n") == "QUEUED"
        assert await connection.execute_command("INCR", "n") == "QUEUED"
        assert await connection.execute_command("EXEC") == [1, 2]
        await connection.execute_command("MULTI")
        await connection.execute_command("SET", "n", 50)
    assert await calm_redis.get("n") == "2"  # what was not executed is gone with its connection
    async with calm_redis.client() as connection:
        assert await connection.get("n") == "2"
        with pytest.raises(ResponseError, match="EXEC without MULTI"):
            await connection.execute_command("EXEC")


async def test_a_client_of_one_connection_is_the_same_connection_throughout(
    calm_redis: RedisClient,
) -> None:
    async with calm_redis.client() as connection:
        ids = await asyncio.gather(*(connection.client_id() for _ in range(20)))
        assert len(set(ids)) == 1
        assert ids[0] != await calm_redis.client_id()
        with pytest.raises(NeedsOwnConnectionError, match="pubsub"):
            await connection.execute_command("SUBSCRIBE", "c")
        with pytest.raises(NeedsOwnConnectionError):
            await connection.execute_command("CLIENT", "REPLY", "OFF")
        assert await asyncio.wait_for(awaited(connection.blpop("none", 0.05)), 5) is None


async def test_a_client_of_one_connection_does_not_follow_a_failover(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    async with redis.client() as connection:
        await connection.client_setname("mine")
        await group.kill_master()
        with pytest.raises(RedisConnectionError):
            await asyncio.wait_for(awaited(connection.set("k", "v")), 10)
    assert await redis.set("k", "v") is True
    assert lent(redis) == 0


async def test_monitor_gives_what_the_server_is_asked(calm_redis: RedisClient) -> None:
    async with asyncio.timeout(10), calm_redis.monitor() as monitor:
        await calm_redis.set("watched", "value")
        async for seen in monitor.listen():
            if "watched" in seen["command"]:
                break
        assert seen["command"] == "SET watched value"
        assert seen["client_type"] == "tcp"
    assert lent(calm_redis) == 0


async def test_a_callback_of_ones_own_shapes_the_replies_of_client_and_views(
    calm: EmbeddedSentinel,
) -> None:
    redis: AnyClient = RedisClient(calm.settings)
    async with redis, RedisClient(calm.settings) as other:
        await redis.set("k", "v")
        redis.set_response_callback("get", lambda reply, **_: ("shaped", reply))
        assert await redis.get("k") == ("shaped", "v")
        assert await redis.execute_command("get", "k") == ("shaped", "v")
        assert await redis.with_options(decode_responses=False).get("k") == ("shaped", b"v")
        async with redis.pipeline() as pipe:
            assert await pipe.get("k").execute() == [("shaped", "v")]
        assert await other.get("k") == "v"

        async def later(reply: Any, **_: Any) -> Any:
            await asyncio.sleep(0)
            return [reply]

        redis.set_response_callback("GET", later)
        assert await redis.get("k") == ["v"]


async def test_facades_of_modules_that_the_server_lacks_give_its_error(
    calm_redis: RedisClient,
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: calm_redis.json().get("k"),
        lambda: calm_redis.json().set("k", "$", {"a": 1}),
        lambda: calm_redis.ft("index").info(),
        lambda: calm_redis.ft("index").search("words"),
        lambda: calm_redis.ts().get("k"),
        lambda: calm_redis.ts().add("k", 1, 2.0),
        lambda: calm_redis.bf().add("k", "v"),
        lambda: calm_redis.cf().add("k", "v"),
        lambda: calm_redis.cms().info("k"),
        lambda: calm_redis.topk().info("k"),
        lambda: calm_redis.tdigest().min("k"),
        lambda: calm_redis.vset().vcard("k"),
        lambda: calm_redis.replica.json().get("k"),
    ]
    for call in calls:
        with pytest.raises(ResponseError, match="unknown command"):
            await call()
    async with calm_redis.pipeline(transaction=False) as pipe:
        pipe.json().get("k")
        (error,) = await pipe.execute(raise_on_error=False)
    assert "unknown command" in str(error)
    assert await calm_redis.echo("in step") == "in step"
