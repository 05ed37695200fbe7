"""
Something of every kind, to be backed up and to be found again.
"""

from __future__ import annotations

import os
from typing import Any

from sahool_cache import RedisClient, RedisSettings
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["ballast", "contents", "fill"]

LIBRARY = "#!lua name=lib\nredis.register_function('one', function() return 1 end)"
NUMBERS = (0, 3, 15)


def of_database(settings: RedisSettings, number: int) -> RedisClient:
    return RedisClient(settings.model_copy(update={"db": number, "decode_responses": False}))


async def fill(group: EmbeddedSentinel) -> int:
    """
    Fills three databases with every type, in its small and its large encoding; how many keys.
    """
    for number in NUMBERS:
        async with of_database(group.settings, number) as redis:
            await redis.set(b"\x00binary\xff\r\n", bytes(range(256)))
            await redis.set("integer", 12345)
            await redis.set("large", os.urandom(3_000_000))
            await redis.set("expires", "later", pxat=4_102_444_800_123)
            await redis.rpush("list", *range(500))
            await redis.rpush("long list", *(os.urandom(100) for _ in range(500)))
            await redis.sadd("small set", 1, 2, 3)
            await redis.sadd("set", *(f"member {n}" for n in range(1000)))
            await redis.zadd("zset", {f"member {n}": n / 7 for n in range(1000)})
            await redis.hset("small hash", mapping={"field": "value"})
            await redis.hset("hash", mapping={f"field {n}": n for n in range(1000)})
            for n in range(200):
                await redis.xadd("stream", {"n": n})
            await redis.xgroup_create("stream", "group", "0")
            await redis.xreadgroup("group", "consumer", {"stream": ">"}, count=10)
            await redis.pfadd("log", *range(1000))
            await redis.geoadd("geo", (13.361389, 38.115556, "Palermo"))
            await redis.setbit("bits", 1000, 1)
            await redis.pexpireat("set", 4_102_444_800_456)
    async with RedisClient(group.settings) as redis:
        await redis.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY)
        await redis.wait(2, 10_000)
    return len(NUMBERS) * 15


async def contents(group: EmbeddedSentinel) -> dict[tuple[int, bytes], Any]:
    """
    Every key of the group with its value, as a client reads it, and when it expires.
    """
    found: dict[tuple[int, bytes], Any] = {}
    for number in NUMBERS:
        async with of_database(group.settings, number) as redis:
            async for key in redis.scan_iter():
                value = await _read(redis, key)
                found[number, key] = (value, await redis.pexpiretime(key))
    return found


async def ballast(group: EmbeddedSentinel, *, keys: int = 40, size: int = 500_000) -> None:
    """
    Makes a transfer long enough for something to happen in the middle of it.
    """
    async with RedisClient(group.settings) as redis:
        for n in range(keys):
            await redis.set(f"ballast {n}", os.urandom(size))
        await redis.wait(2, 10_000)


async def _read(redis: RedisClient, key: bytes) -> Any:
    kind = (await redis.type(key)).decode()
    if kind == "list":
        return await redis.lrange(key, 0, -1)
    if kind == "set":
        return await redis.smembers(key)
    if kind == "zset":
        return await redis.zrange(key, 0, -1, withscores=True)
    if kind == "hash":
        return await redis.hgetall(key)
    if kind == "stream":
        groups = await redis.xinfo_groups(key)
        for each in groups:  # a replica of Redis 7.0 does not learn these
            del each["entries-read"], each["lag"]
        return await redis.xrange(key), groups, await redis.xpending(key, "group")
    return await redis.get(key)
