"""
Views: where reads go, what each option changes, and what they share.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import ReadOnlyError

from sahool_cache import (
    DeadlineExceededError,
    NoReplicaError,
    OutcomeUnknownError,
    ReadOnlyViewError,
    RedisClient,
    UnavailableError,
)
from sahool_cache.embedded import EmbeddedSentinel, Node
from tests.commands.waiting import awaited

pytestmark = pytest.mark.asyncio

USE_SLAVE: dict[str, tuple[Callable[..., Any], Any]] = {
    "get": (lambda r, **o: r.get("text", **o), "hello"),
    "mget": (lambda r, **o: r.mget("text", ["none"][0], **o), ["hello", None]),
    "exists": (lambda r, **o: r.exists("text", "none", **o), 1),
    "hget": (lambda r, **o: r.hget("hash", "a", **o), "1"),
    "hmget": (lambda r, **o: r.hmget("hash", ["a", "none"], **o), ["1", None]),
    "hgetall": (lambda r, **o: r.hgetall("hash", **o), {"a": "1", "b": "2"}),
    "lrange": (lambda r, **o: r.lrange("list", 0, -1, **o), ["x", "y"]),
    "llen": (lambda r, **o: r.llen("list", **o), 2),
    "smembers": (lambda r, **o: r.smembers("set", **o), {"m"}),
    "sismember": (lambda r, **o: r.sismember("set", "m", **o), 1),
    "scard": (lambda r, **o: r.scard("set", **o), 1),
    "zrange": (
        lambda r, **o: r.zrange("zset", 0, -1, withscores=True, **o),
        [("a", 1.0), ("b", 2.0)],
    ),
    "zscore": (lambda r, **o: r.zscore("zset", "b", **o), 2.0),
    "zcard": (lambda r, **o: r.zcard("zset", **o), 2),
    "ttl": (lambda r, **o: r.ttl("text", **o), -1),
    "type": (lambda r, **o: r.type("zset", **o), "zset"),
    "strlen": (lambda r, **o: r.strlen("text", **o), 5),
}


async def fill(redis: RedisClient) -> None:
    await redis.set("text", "hello")
    await redis.hset("hash", mapping={"a": 1, "b": 2})
    await redis.rpush("list", "x", "y")
    await redis.sadd("set", "m")
    await redis.zadd("zset", {"a": 1, "b": 2})
    assert await redis.wait(2, 5000) == 2


async def served(group: EmbeddedSentinel, node: Node, command: str) -> int:
    """
    How often the node ran the command since its figures were reset.
    """
    stats = str(await group.command(node, "INFO", "commandstats"))
    found = re.search(rf"cmdstat_{command}:calls=(\d+)", stats)
    return int(found[1]) if found else 0


async def reset(group: EmbeddedSentinel) -> None:
    for node in (group.master, *group.replicas):
        await group.command(node, "CONFIG", "RESETSTAT")


async def read_by(group: EmbeddedSentinel, command: str) -> tuple[int, int]:
    """
    How often the master ran it, and the replicas together.
    """
    replicas = [await served(group, node, command) for node in group.replicas]
    return await served(group, group.master, command), sum(replicas)


@pytest.mark.parametrize("name", USE_SLAVE)
async def test_use_slave_reads_from_a_replica(
    calm: EmbeddedSentinel, calm_redis: RedisClient, name: str
) -> None:
    await fill(calm_redis)
    call, expected = USE_SLAVE[name]
    await reset(calm)
    for _ in range(3):
        assert await call(calm_redis, use_slave=True) == expected
    assert await read_by(calm, name) == (0, 3)
    await reset(calm)
    assert await call(calm_redis) == expected
    assert await call(calm_redis, use_slave=False) == expected
    assert await read_by(calm, name) == (2, 0)
    await reset(calm)
    assert await call(calm_redis.replica) == expected
    assert await call(calm_redis.replica.master) == expected
    assert await call(calm_redis.master, use_slave=True) == expected
    assert await read_by(calm, name) == (1, 2)


async def test_use_slave_is_on_every_read_that_the_original_client_had() -> None:
    listed = (
        "get mget exists hget hmget hgetall lrange llen smembers sismember scard "
        "zrange zscore zcard ttl type strlen"
    )
    assert list(USE_SLAVE) == listed.split()


async def test_reads_are_spread_over_all_replicas(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    await fill(calm_redis)
    for view in (calm_redis.replica, calm_redis.with_options(read_from="replica")):
        await reset(calm)
        await asyncio.gather(*(view.get("text") for _ in range(200)))
        counts = [await served(calm, node, "get") for node in calm.replicas]
        assert sum(counts) == 200
        assert min(counts) > 20


async def test_nearest_reads_from_any_node_and_writes_to_the_master(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    await fill(calm_redis)
    view = calm_redis.with_options(read_from="nearest")
    await reset(calm)
    assert set(await asyncio.gather(*(view.get("text") for _ in range(100)))) == {"hello"}
    assert sum(await read_by(calm, "get")) == 100
    assert await view.set("text", "written") is True
    assert await calm_redis.get("text") == "written"


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda r: r.set("k", "v"),
    "delete": lambda r: r.delete("k"),
    "incr": lambda r: r.incr("k"),
    "hset": lambda r: r.hset("h", "a", 1),
    "expire": lambda r: r.expire("k", 1),
    "publish": lambda r: r.publish("c", "m"),
    "eval": lambda r: r.eval("return 1", 0),
    "flushall": lambda r: r.flushall(),
    "blpop": lambda r: r.blpop("k", 1),
    "xreadgroup": lambda r: r.xreadgroup("g", "c", {"s": ">"}),
    "sort with store": lambda r: r.sort("k", store="to"),
    "getex": lambda r: r.getex("k", ex=1),
    "config_set": lambda r: r.config_set("maxmemory", 1),
    "raw": lambda r: r.execute_command("set", "k", "v"),
    "raw bytes": lambda r: r.execute_command(b"SET", "k", "v"),
    "unknown": lambda r: r.execute_command("NOSUCH", "k"),
    "json": lambda r: r.json().set("k", "$", 1),
    "script": lambda r: r.register_script("return 1")(),
}


@pytest.mark.parametrize("name", WRITES)
async def test_the_replica_view_refuses_a_write_at_once(
    calm: EmbeddedSentinel, calm_redis: RedisClient, name: str
) -> None:
    await reset(calm)
    for view in (calm_redis.replica, calm_redis.replica.with_options(timeout=5)):
        with pytest.raises(ReadOnlyViewError) as caught:
            await WRITES[name](view)
        assert isinstance(caught.value, ReadOnlyError)
    for node in calm.replicas:
        stats = str(await calm.command(node, "INFO", "commandstats"))
        assert "rejected_calls=1" not in stats


async def test_the_replica_view_refuses_a_write_before_anything_is_connected(
    calm: EmbeddedSentinel,
) -> None:
    redis = RedisClient(calm.settings)
    with pytest.raises(ReadOnlyViewError):
        await redis.replica.set("k", "v")
    assert redis.stats().nodes == ()
    await redis.aclose()


async def test_the_master_serves_where_no_replica_is_left(group: EmbeddedSentinel) -> None:
    async with RedisClient(group.settings) as redis:
        await redis.set("text", "hello")
        for node in group.replicas:
            await group.kill(node)
        async with asyncio.timeout(15):
            assert await redis.replica.get("text") == "hello"
            assert await redis.get("text", use_slave=True) == "hello"
            strict = redis.with_options(read_from="replica", timeout=3)
            with pytest.raises(NoReplicaError, match="no replica"):
                await strict.get("text")


async def test_options_of_a_view(calm_redis: RedisClient) -> None:
    view = calm_redis.with_options(decode_responses=False)
    assert await view.set("k", "v") is True
    assert await view.get("k") == b"v"
    assert await calm_redis.get("k") == "v"
    assert await view.with_options(decode_responses=True).get("k") == "v"
    assert await view.replica.ping() is True
    assert view.with_options(timeout=timedelta(seconds=2)).options.timeout == 2.0
    assert await calm_redis.with_options().get("k") == "v"
    assert await calm_redis.with_options(timeout=3, read_from="replica").exists("none") == 0
    assert calm_redis.options.read_from == "master"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", "1"),
        ("timeout", True),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", timedelta(seconds=-1)),
        ("retry", "sometimes"),
        ("retry", 3),
        ("retry", ["safe"]),
        ("read_from", "slave"),
        ("read_from", ""),
        ("read_from", {}),
    ],
)
async def test_a_wrong_option_is_a_value_error_that_names_it(
    calm_redis: RedisClient, name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=name):
        calm_redis.with_options(**{name: value})
    with pytest.raises(TypeError):
        calm_redis.with_options(nonsense=1)  # type: ignore[call-arg]


async def test_a_timeout_is_the_budget_of_the_whole_call(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    loop = asyncio.get_running_loop()
    await redis.set("k", "v")
    await group.pause(group.master)
    started = loop.time()
    short = redis.with_options(timeout=0.2)
    with pytest.raises(UnavailableError):
        await short.get("k")
    with pytest.raises((OutcomeUnknownError, DeadlineExceededError)):
        await short.incr("n")
    assert loop.time() - started < 3


async def test_retry_never_and_always(group: EmbeddedSentinel, redis: RedisClient) -> None:
    await redis.set("n", 0)
    await redis.wait(2, 5000)
    never = redis.with_options(retry="never")
    always = redis.with_options(retry="always")
    await group.pause(group.master)
    old = group.master
    calls = [
        asyncio.create_task(awaited(never.set("k", "v"))),
        asyncio.create_task(awaited(redis.incr("n"))),
        asyncio.create_task(awaited(always.incr("m"))),
        asyncio.create_task(awaited(redis.set("k", "w"))),
    ]
    await asyncio.sleep(0.1)
    await group.kill(old)
    async with asyncio.timeout(15):
        once, safe, repeated, plain = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(once, OutcomeUnknownError)
    assert isinstance(safe, OutcomeUnknownError)
    assert repeated == 1
    assert plain is True
