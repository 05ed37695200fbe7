"""
While Redis cannot be reached.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import NotDurableError, OutcomeUnknownError, UnavailableError
from sahool_cache.recipes import ResultCache, invalidate_tags
from tests.recipes.cache.source import Source, eventually

pytestmark = pytest.mark.asyncio


async def test_the_function_is_called_or_the_error_raised() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        settings = group.settings.model_copy(update={"command_timeout": 0.3, "socket_timeout": 0.3})
        async with RedisClient(settings) as redis:
            source = Source(5)
            cache = ResultCache(int, client=redis)
            strict = ResultCache(int, client=redis, on_outage="raise")
            await cache.get_or_load("before", source.load)
            await group.pause(group.master)
            calls = [asyncio.create_task(cache.get_or_load("k", source.load)) for _ in range(50)]
            assert await asyncio.gather(*calls) == [5] * 50
            assert source.loads == 2
            assert cache.cache_info().outages >= 1
            with pytest.raises(UnavailableError):
                await strict.get_or_load("k", source.load)
            for attempt in (cache.invalidate("k"), cache.refresh("k", source.load)):
                with pytest.raises((UnavailableError, OutcomeUnknownError)):
                    await attempt
            with pytest.raises((UnavailableError, OutcomeUnknownError)):
                await invalidate_tags("t", client=redis)
            await group.resume(group.master)
            await redis.wait_ready(5)
            await cache.get_or_load("k", source.load)
            assert await redis.exists("k")


async def test_a_load_during_which_redis_is_lost_gives_its_result() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        settings = group.settings.model_copy(update={"command_timeout": 0.3, "socket_timeout": 0.3})
        async with RedisClient(settings) as redis:
            source = Source(5)
            source.open.clear()
            caches = [ResultCache(int, client=redis, on_outage=way) for way in ("call", "raise")]
            calls = [
                asyncio.create_task(cache.get_or_load(str(place), source.load))
                for place, cache in enumerate(caches)
            ]
            await eventually(lambda: source.loads == 2)
            await group.pause(group.master)
            source.open.set()
            assert await asyncio.gather(*calls) == [5, 5]
            await group.resume(group.master)


@pytest.mark.parametrize("full", ["before", "while it loads"])
async def test_a_server_that_takes_no_writes_is_no_error_of_the_function(full: str) -> None:
    async with (
        EmbeddedSentinel(replicas=0, sentinels=1) as group,
        RedisClient(group.settings) as redis,
    ):
        source = Source(5)
        cache = ResultCache(int, client=redis)
        await cache.get_or_load("before", source.load)

        async def fill_up() -> None:
            await redis.config_set("maxmemory", "1")

        async def load() -> int:
            await fill_up()
            return 6

        if full == "before":
            await fill_up()
            assert await cache.get_or_load("k", source.load) == 5
            strict = ResultCache(int, client=redis, on_outage="raise")
            assert cache.cache_info().outages == 1
            with pytest.raises(UnavailableError, match=r"takes no writes: .*maxmemory"):
                await strict.get_or_load("k", source.load)
        assert await cache.get_or_load("k", load) == 6
        assert await cache.get_or_load("before", source.load) == 5  # still read
        await redis.config_set("maxmemory", "0")
        assert await cache.get_or_load("k", source.load) == (5 if full == "before" else 6)
        assert await redis.exists("k")


async def test_a_failover_is_seen_by_no_caller() -> None:
    async with (
        EmbeddedSentinel(down_after=0.5, failover_timeout=3.0) as group,
        RedisClient(group.settings) as redis,
        RedisClient(group.settings) as other,
    ):
        source = Source(5, seconds=0.01)
        caches = [ResultCache(int, ttl=1, client=client) for client in (redis, other)]
        ended = False

        async def user(place: int) -> int:
            calls = 0
            while not ended:
                key = f"k{calls % 20}"
                assert await caches[place % 2].get_or_load(key, source.load) == 5
                calls += 1
                await asyncio.sleep(0.001)
            return calls

        users = [asyncio.create_task(user(place)) for place in range(20)]
        old = group.master
        await group.kill_master()
        await eventually(lambda: redis.topology.master not in (None, old.address), within=10)
        await eventually(lambda: not redis.topology.provisional, within=10)
        served = caches[0].cache_info().hits
        await eventually(lambda: caches[0].cache_info().hits > served + 100, within=10)
        ended = True
        assert min(await asyncio.gather(*users)) > 10
        assert await redis.keys("*:lease") == []


async def test_a_refresh_is_as_durable_as_the_clients_writes() -> None:
    """
    Else a failover would bring back what it replaced.
    """
    async with EmbeddedSentinel(replicas=1, sentinels=1, down_after=30) as group:
        settings = group.settings.model_copy(
            update={"durability": 1, "durability_timeout": 0.3, "command_timeout": 5.0}
        )
        async with RedisClient(settings) as redis, RedisClient(group.settings) as other:
            source, cache = Source(1), ResultCache(int, client=redis)
            assert await cache.refresh("k", source.load) == 1
            await group.pause(group.replicas[0])
            source.value = 2
            with pytest.raises(NotDurableError):
                await cache.refresh("k", source.load)
            assert source.loads == 2
            assert await other.keys("*") == ["k"]  # no lease is left
            assert await cache.get_or_load("k2", source.load) == 2  # what may be lost need not wait
            await group.resume(group.replicas[0])


async def test_without_the_right_to_subscribe_or_publish_it_works_as_well() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        rights = ("~*", "+@all", "-publish", "-subscribe", "resetchannels")
        await group.command(group.master, "ACL", "SETUSER", "app", "on", ">pw", *rights)
        settings = group.settings.model_copy(update={"username": "app"})
        settings = type(settings)(**{**settings.model_dump(), "password": "pw"})
        async with RedisClient(settings) as redis, RedisClient(settings) as other:
            source = Source(5, seconds=0.1)
            results = await asyncio.gather(
                *(ResultCache(int, client=client).get_or_load("k", source.load)
                  for client in (redis, other, redis))
            )  # fmt: skip
            assert results == [5, 5, 5]
            assert source.loads == 1
