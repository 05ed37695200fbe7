"""
Scans are whole, whoever serves them: a cursor belongs to the server that gave it.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import RedisClient

pytestmark = pytest.mark.asyncio


async def test_scans_give_everything_once(calm_redis: RedisClient) -> None:
    async with calm_redis.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key:{number}", number)
        pipe.hset("hash", mapping={f"f{n}": n for n in range(5000)})
        pipe.sadd("set", *(f"m{n}" for n in range(5000)))
        pipe.zadd("zset", {f"m{n}": n for n in range(5000)})
        await pipe.execute()
    assert await calm_redis.wait(2, 10_000) == 2
    views = {
        "master": calm_redis,
        "replica": calm_redis.replica,
        "strictly replica": calm_redis.with_options(read_from="replica"),
        "nearest": calm_redis.with_options(read_from="nearest"),
    }
    for name, view in views.items():
        keys = [key async for key in view.scan_iter("key:*", count=100)]
        assert len(keys) == len(set(keys)) == 5000, name
        fields = [pair async for pair in view.hscan_iter("hash", count=100)]
        assert len(fields) == 5000, name
        assert dict(fields) == {f"f{n}": str(n) for n in range(5000)}, name
        assert {member async for member in view.sscan_iter("set", count=100)} == {
            f"m{n}" for n in range(5000)
        }, name
        scores = [pair async for pair in view.zscan_iter("zset", count=100)]
        assert dict(scores) == {f"m{n}": float(n) for n in range(5000)}, name


async def test_ten_scans_of_the_replica_view_at_once_are_each_whole(
    calm_redis: RedisClient,
) -> None:
    async with calm_redis.pipeline(transaction=False) as pipe:
        for number in range(5000):
            pipe.set(f"key:{number}", "x")
        await pipe.execute()
    assert await calm_redis.wait(2, 10_000) == 2

    async def scan() -> set[str]:
        return {key async for key in calm_redis.replica.scan_iter(count=50)}

    async with asyncio.timeout(30):
        found = await asyncio.gather(*(scan() for _ in range(10)))
    assert [len(keys) for keys in found] == [5000] * 10


async def test_scan_by_hand_goes_through_all_pages(calm_redis: RedisClient) -> None:
    await calm_redis.mset({f"key:{n}": n for n in range(1000)})
    await calm_redis.wait(2, 5000)
    for view in (calm_redis, calm_redis.replica):
        cursor, keys = 0, set()
        while True:
            cursor, page = await view.scan(cursor, count=20)
            keys |= set(page)
            if cursor == 0:
                break
        assert len(keys) == 1000
