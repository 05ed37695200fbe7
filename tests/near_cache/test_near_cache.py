"""
The near cache on a real group: what is kept, for how long, and that nobody notices but by the time.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.exceptions import DataError, ResponseError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import NearCacheFlushed
from sahool_cache.settings import NearCacheSettings
from tests.integration.observe import Recorder, eventually, open_sockets, other_tasks
from tests.near_cache.clients import caching, calls, figures, ready, trackers

pytestmark = pytest.mark.asyncio


async def write(group: EmbeddedSentinel, *command: str) -> None:
    """
    As another client.
    """
    await group.command(group.master, *command)


async def test_the_figures_say_what_happened(calm: EmbeddedSentinel, cached: RedisClient) -> None:
    await write(calm, "SET", "k", "v")
    assert [await cached.get("k") for _ in range(5)] == ["v"] * 5
    told = figures(cached)
    assert (told.hits, told.misses, told.entries) == (4, 1, 1)
    assert 100 < told.bytes < 1000
    await write(calm, "SET", "k", "w")
    assert await eventually(lambda: figures(cached).invalidations == 1)
    assert (figures(cached).entries, figures(cached).bytes) == (0, 0)
    assert await cached.get("k") == "w"
    await write(calm, "FLUSHALL")
    assert await eventually(lambda: figures(cached).flushes == 1)
    assert await cached.get("k") is None
    assert figures(cached).evictions == 0


async def test_a_client_without_one_has_no_figures(calm: EmbeddedSentinel) -> None:
    async with RedisClient(calm.settings) as redis:
        await redis.get("k")
        assert redis.stats().near_cache is None
        assert await trackers(calm) == []


async def test_a_hundred_tasks_on_a_cold_key_ask_once(
    calm: EmbeddedSentinel, cached: RedisClient
) -> None:
    await write(calm, "SET", "k", "v")
    await calm.command(calm.master, "CONFIG", "RESETSTAT")
    asking = [asyncio.ensure_future(cached.get("k")) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()
    replies = await asyncio.gather(*asking, return_exceptions=True)
    assert replies[1:] == ["v"] * 99
    assert await calls(calm, "get") == 1
    assert await calls(calm, "pttl") == 1


async def test_only_keys_with_these_beginnings_are_kept(calm: EmbeddedSentinel) -> None:
    limits = NearCacheSettings(prefixes=("hot:", "warm:"))
    async with caching(calm, limits) as redis:
        for name in ("hot:1", "warm:1", "cold:1"):
            await redis.set(name, "v")
            assert [await redis.get(name) for _ in range(3)] == ["v"] * 3
        assert await redis.mget("hot:1", "cold:1") == ["v", "v"]
        told = figures(redis)
        assert (told.hits, told.misses, told.entries) == (4, 2, 2)


async def test_a_reply_is_kept_no_longer_than_the_cap_or_than_its_key(
    calm: EmbeddedSentinel,
) -> None:
    async with caching(calm, NearCacheSettings(ttl=0.15)) as redis:
        await write(calm, "SET", "k", "v")
        await calm.command(calm.master, "CONFIG", "RESETSTAT")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert await redis.get("k") == "v"
            await asyncio.sleep(0.005)
        assert 3 <= await calls(calm, "get") <= 6
    async with caching(calm) as redis:
        for lives in (20, 50, 90):
            await redis.set("short", "v", px=lives)
            ends = time.monotonic() + lives / 1000
            while (began := time.monotonic()) < ends + 0.05:
                value = await redis.get("short")
                assert value is None or began <= ends + 0.002  # a server counts milliseconds
        assert figures(redis).hits > 100


async def test_a_field_of_a_hash_that_ends_is_heard_of(
    calm: EmbeddedSentinel, cached: RedisClient
) -> None:
    await write(calm, "HSET", "h", "a", "1", "b", "2")
    try:
        await write(calm, "HPEXPIRE", "h", "50", "FIELDS", "1", "a")
    except ResponseError:
        pytest.skip("the server has no times to live for fields")
    until = time.monotonic() + 5
    while await cached.hgetall("h") != {"b": "2"}:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_the_bytes_stay_within_their_bound_and_every_reply_is_right(
    calm: EmbeddedSentinel,
) -> None:
    async with caching(calm, NearCacheSettings(max_bytes=1 << 16)) as redis:
        await redis.mset({f"k{n}": f"{n}" * 100 for n in range(500)})
        for _ in range(2):
            for n in range(500):
                assert await redis.get(f"k{n}") == f"{n}" * 100
                assert figures(redis).bytes <= 1 << 16
        assert figures(redis).evictions > 300
        assert await redis.get("k499") == "499" * 100
        assert figures(redis).hits > 0


async def test_reads_from_replicas_are_kept_as_the_replica_has_them(calm: EmbeddedSentinel) -> None:
    async with caching(calm, read_from="replica") as redis:
        await redis.set("k", "1")
        assert await eventually_reads(redis, "k", "1")
        await calm.command(calm.master, "CONFIG", "RESETSTAT")
        before = figures(redis).hits
        assert [await redis.get("k") for _ in range(10)] == ["1"] * 10
        assert figures(redis).hits - before >= 9
        await write(calm, "SET", "k", "2")
        assert await eventually_reads(redis, "k", "2")
        assert await calls(calm, "get") == 0
        assert await trackers(calm) == []
        assert [len(await trackers(calm, node)) for node in calm.replicas] == [1, 1]
        assert await redis.master.get("k") == "2"
        await ready(redis)
        assert len(await trackers(calm)) == 1


async def eventually_reads(redis: RedisClient, key: str, value: str) -> bool:
    until = time.monotonic() + 5
    while await redis.get(key) != value:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.001)
    return True


async def test_a_scope_that_has_written_asks_the_server(
    calm: EmbeddedSentinel, cached: RedisClient
) -> None:
    await cached.set("k", "1")
    await cached.get("k")
    async with cached.scope() as r:
        assert await r.get("k") == "1"
        await r.set("k", "2")
        await calm.command(calm.master, "CONFIG", "RESETSTAT")
        assert [await r.get("k") for _ in range(5)] == ["2"] * 5
        assert await calls(calm, "get") == 5
        token = r.token
    async with cached.scope(after=token) as r:
        assert await r.get("k") == "2"
    assert await calls(calm, "get") == 6


async def own_writes(redis: RedisClient) -> Any:
    script = redis.register_script("return redis.call('set', KEYS[1], ARGV[1])")
    fails = "redis.call('set', KEYS[1], ARGV[1]); return redis.call('no')"
    unnamed = "return redis.call('set', 'k', ARGV[1])"

    async def staged(value: str, *, transaction: bool) -> None:
        async with redis.pipeline(transaction=transaction) as pipe:
            pipe.set("other", "x").set("k", value)
            await pipe.execute()

    async def watched(value: str) -> None:
        async with redis.pipeline() as pipe:
            await pipe.watch("k")
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.set("k", value)
            await pipe.execute()

    async def pinned(value: str) -> None:
        async with redis.client() as one:
            await one.execute_command("MULTI")
            await one.set("k", value)
            reading = asyncio.ensure_future(redis.get("k"))
            await asyncio.sleep(0.001)
            await one.execute_command("EXEC")
            await reading

    async def failing_on_its_own(value: str) -> None:
        async with redis.client() as one:
            with pytest.raises(ResponseError):
                await one.eval(fails, 1, "k", value)

    async def failing(value: str) -> None:
        with pytest.raises(ResponseError):
            await redis.eval(fails, 1, "k", value)

    return {
        "set": lambda v: redis.set("k", v),
        "bytes": lambda v: redis.set(b"k", v),
        "durable": lambda v: redis.with_options(durability=1).set("k", v),
        "pipeline": lambda v: staged(v, transaction=False),
        "transaction": lambda v: staged(v, transaction=True),
        "watched": watched,
        "pinned": pinned,
        "script": lambda v: script(keys=["k"], args=[v]),
        "unnamed": lambda v: redis.eval(unnamed, 0, v),
        "failing": failing,
        "failing on its own": failing_on_its_own,
        "lower case": lambda v: redis.execute_command("set", "k", v),
        "getset": lambda v: redis.getset("k", v),
        "swap": lambda v: redis.pipeline().set("l", v).rename("l", "k").execute(),
    }


async def test_what_this_client_wrote_is_what_it_reads(cached: RedisClient) -> None:
    for name, way in (await own_writes(cached)).items():
        for number in range(30):
            await cached.get("k")
            await way(f"{name} {number}")
            assert await cached.get("k") == f"{name} {number}"
    assert figures(cached).hits > 10


async def test_long_names_and_names_that_are_no_text_are_read_as_written(
    cached: RedisClient,
) -> None:
    for key in ("é" * 500, b"\xff\xfe", "", 5, 1.5, "x" * 5000, memoryview(b"view")):
        raw = key.encode() if isinstance(key, str) else key
        for number in range(20):
            await cached.set(raw, number)
            assert [await cached.get(key) for _ in range(2)] == [str(number)] * 2
    with pytest.raises(DataError):
        await cached.get("\udcff\udcfe")


async def test_mutable_replies_are_their_callers_own(cached: RedisClient) -> None:
    await cached.hset("h", mapping={"a": "1"})
    await cached.rpush("l", "a", "b")
    await cached.sadd("s", "a")
    for _ in range(3):
        found: Any = await cached.hgetall("h")
        assert found == {"a": "1"}
        found["mine"] = "x"
        items: Any = await cached.lrange("l", 0, -1)
        assert items == ["a", "b"]
        items.clear()
        members: Any = await cached.smembers("s")
        assert members == {"a"}
        members.add("mine")
    shared: list[Any] = await asyncio.gather(*(cached.mget("x", "y") for _ in range(3)))
    shared[0].clear()
    assert shared[1:] == [[None, None]] * 2


async def test_errors_are_raised_each_time(cached: RedisClient) -> None:
    await cached.rpush("l", "a")
    await cached.set("k", "v")
    await cached.get("k")
    for _ in range(2):
        with pytest.raises(ResponseError, match=r"WRONGTYPE|wrong kind"):
            await cached.get("l")
        with pytest.raises(ResponseError, match="wrong number of arguments"):
            await cached.execute_command("GET", "k", "l")
        with pytest.raises(ResponseError, match="wrong number of arguments"):
            await cached.execute_command("GET")
        for unsent in (None, True, ["a"], 10**5000):
            with pytest.raises(DataError):
                await cached.get(unsent)
    assert await cached.get("k") == "v"


async def test_every_spelling_of_a_command_finds_the_same_reply(cached: RedisClient) -> None:
    await cached.set("k", "v")
    await cached.get("k")
    before = figures(cached).hits
    for name in ("GET", "get", b"GET", b"gEt"):
        assert await cached.execute_command(name, "k") in ("v", b"v")
        assert await cached.execute_command(name, b"k") in ("v", b"v")
    assert figures(cached).hits - before == 8


async def test_views_get_what_they_ask_for(calm: EmbeddedSentinel, cached: RedisClient) -> None:
    await cached.set("k", "é")
    await cached.hset("h", "f", "é")
    raw = cached.with_options(decode_responses=False)
    for _ in range(2):
        assert await cached.get("k") == "é"
        assert await raw.get("k") == "é".encode()
        assert await raw.hgetall("h") == {b"f": "é".encode()}
        assert await cached.hgetall("h") == {"f": "é"}
        assert await cached.with_options(timeout=3).get("k") == "é"
    async with caching(calm, decode_responses=False) as redis:
        for _ in range(2):
            assert await redis.get("k") == "é".encode()
            assert await redis.hgetall("h") == {b"f": "é".encode()}
        assert figures(redis).hits == 2


async def test_a_callback_of_ones_own_shapes_what_was_kept(cached: RedisClient) -> None:
    await cached.set("k", "v")
    await cached.get("k")
    cached.set_response_callback("GET", lambda reply, **_: f"<{reply}>")
    assert [await cached.get("k") for _ in range(2)] == ["<v>", "<v>"]
    assert figures(cached).hits == 2


async def test_clients_of_other_databases_share_nothing(calm: EmbeddedSentinel) -> None:
    async with caching(calm, db=0) as zero, caching(calm, db=1) as one:
        for number in range(20):
            await zero.set("k", f"zero {number}")
            await one.set("k", f"one {number}")
            assert await zero.get("k") == f"zero {number}"
            assert await one.get("k") == f"one {number}"


async def test_a_user_sees_nothing_of_another_ones(calm: EmbeddedSentinel) -> None:
    await calm.command(calm.master, "ACL", "SETUSER", "few", "on", "nopass", "~open:*", "+@all")
    async with caching(calm) as all_of_it, caching(calm, username="few", password="any") as few:
        await all_of_it.mset({"open:k": "1", "closed:k": "2"})
        for _ in range(2):
            assert await all_of_it.get("closed:k") == "2"
            assert await few.get("open:k") == "1"
            with pytest.raises(ResponseError, match=r"(?i)permission"):
                await few.get("closed:k")
    await calm.command(calm.master, "ACL", "DELUSER", "few")


async def test_a_killed_connection_costs_what_is_kept_and_nothing_else(
    calm: EmbeddedSentinel,
) -> None:
    recorder = Recorder()
    async with caching(calm, observers=(recorder,)) as redis:
        await redis.set("k", "v")
        for _ in range(3):
            assert await redis.get("k") == "v"
            (tracked,) = await trackers(calm)
            await calm.command(calm.master, "CLIENT", "KILL", "ID", tracked)
            await write(calm, "SET", "k", "v")
            assert await eventually(lambda: figures(redis).entries == 0)
            await ready(redis)
        told = recorder.of(NearCacheFlushed)
        assert [(event.why, event.entries) for event in told] == [
            ("the connection was lost", 1)
        ] * 3


async def test_nothing_is_left_after_closing(calm: EmbeddedSentinel) -> None:
    tasks, sockets, recorder = other_tasks(), open_sockets(), Recorder()
    async with caching(calm, observers=(recorder,), read_from="replica") as redis:
        await redis.master.get("k")
        await ready(redis)
        await asyncio.gather(*(redis.get(f"k{n}") for n in range(50)))
        waiting = [asyncio.ensure_future(redis.get(f"l{n}")) for n in range(50)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(each.done() for each in waiting)
    assert other_tasks() <= tasks
    assert await eventually(lambda: open_sockets() <= sockets)
    assert recorder.of(NearCacheFlushed) == []
    for node in (calm.master, *calm.replicas):
        until = time.monotonic() + 5
        while await trackers(calm, node):
            assert time.monotonic() < until
    assert redis.stats().near_cache is None


@pytest.mark.parametrize("name", ["get", b"GET", bytearray(b"GET")])
async def test_a_command_may_be_named_in_any_way(
    calm: EmbeddedSentinel, cached: RedisClient, name: Any
) -> None:
    await write(calm, "SET", "k", "v")
    assert [await cached.execute_command(name, "k") for _ in range(2)] == ["v", "v"]
