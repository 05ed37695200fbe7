"""
All that an application does with this library, feature by feature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import WatchError

from sahool_cache import DistributedLock, RateLimiter, RedisClient, ResultCache, invalidate_tags
from sahool_cache.recipes.rate_limiter import Algorithm
from tests.integration.observe import eventually

__all__ = ["FEATURES", "READS"]


async def _values(redis: RedisClient) -> None:
    assert await redis.set("k", "v", ex=100)
    assert await redis.get("k") == "v"
    await redis.hset("h", mapping={"a": "1"})
    await redis.zadd("z", {"a": 1.0})
    await redis.xadd("x", {"a": "1"})
    assert {key async for key in redis.scan_iter("h")} == {"h"}
    assert await redis.dbsize()
    await redis.delete("h", "z", "x")


async def _batches(redis: RedisClient) -> None:
    for transaction in (False, True):
        async with redis.pipeline(transaction=transaction) as pipe:
            pipe.set("p", 1).incr("p")
            assert await pipe.execute() == [True, 2]
    async with redis.pipeline() as pipe:
        await pipe.watch("p")
        await redis.incr("p")
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.incr("p")
        try:
            await pipe.execute()
        except WatchError:
            return
    raise AssertionError("the change was not seen")


async def _scripts(redis: RedisClient) -> None:
    script = redis.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
    assert await script(keys=["s"], args=["1"])


async def _recipes(redis: RedisClient) -> None:
    cache = ResultCache(int, client=redis)
    assert await cache.get_or_load("cache:r", _loaded, tags=["t"]) == 1
    await invalidate_tags("t", client=redis)
    algorithms: tuple[Algorithm, ...] = ("gcra", "sliding_window", "log")
    for algorithm in algorithms:
        limiter = RateLimiter(100, 60, algorithm, client=redis)
        assert await limiter.is_allowed(algorithm)
    for fair in (False, True):
        lock = DistributedLock("l", wait=5, fair=fair, client=redis)
        async with lock:
            waiting = asyncio.create_task(_locked(redis, fair=fair))
            await asyncio.sleep(0.05)
        assert await waiting


async def _loaded() -> int:
    return 1


async def _locked(redis: RedisClient, *, fair: bool) -> bool:
    async with DistributedLock("l", wait=5, fair=fair, client=redis):
        return True


async def _subscriptions(redis: RedisClient) -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("c")
        await pubsub.psubscribe("c*")
        async for message in pubsub.listen():
            if message["type"] == "psubscribe":
                await redis.publish("c", "m")
            if message["type"] == "message":
                return


async def _waiting(redis: RedisClient) -> None:
    waiting = asyncio.create_task(redis.blpop("list", timeout=0))
    assert await eventually(lambda: any(node.exclusive for node in redis.stats().nodes))
    await asyncio.sleep(0.02)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await redis.rpush("other", "a")
    assert await redis.blpop("other", timeout=1) == ("other", "a")


async def _durable(redis: RedisClient) -> None:
    await redis.with_options(durability=1).set("d", 1)


async def _durable_on_all(redis: RedisClient) -> None:
    await redis.with_options(durability="all").set("d", 1)


async def _confirmed(redis: RedisClient) -> None:
    await redis.set("w", 1)
    assert await redis.wait(1, 2000)


async def _scope(redis: RedisClient) -> None:
    async with redis.scope() as scope:
        await scope.set("s", "1")
        assert await scope.replica.get("s") == "1"


async def _own_connection(redis: RedisClient) -> None:
    async with redis.client() as own:
        assert await own.set("o", 1)


async def _health(redis: RedisClient) -> None:
    assert await redis.ping()
    assert (await redis.health_check())["status"] != "unhealthy"
    assert (await redis.get_sentinel_info())["master"]


async def _near_cache(redis: RedisClient) -> None:
    stats = redis.stats().near_cache
    assert stats is not None
    for _ in range(200):
        await redis.get("k")
        now = redis.stats().near_cache
        if now is not None and now.hits > stats.hits:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing is kept")


async def _replicas(redis: RedisClient) -> None:
    assert await eventually(lambda: bool(redis.topology.in_rotation))
    await redis.with_options(read_from="replica").get("k")


FEATURES: dict[str, Callable[[RedisClient], Awaitable[None]]] = {
    "values": _values,
    "batches": _batches,
    "scripts": _scripts,
    "recipes": _recipes,
    "subscriptions": _subscriptions,
    "waiting": _waiting,
    "durable": _durable,
    "durable on all": _durable_on_all,
    "confirmed": _confirmed,
    "scope": _scope,
    "own connection": _own_connection,
    "health": _health,
    "near cache": _near_cache,
    "replicas": _replicas,
}


async def _read(redis: RedisClient) -> None:
    assert await redis.get("seed") == "1"
    assert await redis.mget("seed", "none") == ["1", None]
    assert "seed" in {key async for key in redis.scan_iter()}
    async with redis.pipeline() as pipe:
        pipe.get("seed").ttl("seed")
        assert await pipe.execute() == ["1", -1]
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("c")
        assert (await anext(pubsub.listen()))["type"] == "subscribe"


READS: dict[str, Callable[[RedisClient], Awaitable[None]]] = {
    "reads": _read,
    "replicas": _replicas,
    "near cache": _near_cache,
    "health": _health,
}
