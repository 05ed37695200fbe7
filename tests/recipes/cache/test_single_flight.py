"""
Of many who miss at once one loads, in this process and in all others; and no one harms another.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from typing import Any

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes import ResultCache
from sahool_cache.recipes.caching.flights import Flight
from tests.recipes.cache.source import Source, eventually, ttl_of

pytestmark = pytest.mark.asyncio


def call(cache: ResultCache[Any], source: Source, key: str = "k") -> asyncio.Task[Any]:
    return asyncio.create_task(cache.get_or_load(key, source.load))


async def loading(source: Source, loads: int = 1) -> None:
    await eventually(lambda: source.loads == loads)


async def test_one_load_serves_all_callers_of_a_process(redis: RedisClient) -> None:
    source = Source(5, seconds=0.05)
    cache = ResultCache(int, client=redis)
    assert await asyncio.gather(*(call(cache, source) for _ in range(200))) == [5] * 200
    assert source.loads == 1


async def test_other_entries_are_loaded_at_the_same_time(redis: RedisClient) -> None:
    source = Source(5)
    source.open.clear()
    cache = ResultCache(int, client=redis)
    calls = [call(cache, source, f"k{number}") for number in range(10)]
    await loading(source, 10)
    source.open.set()
    assert await asyncio.gather(*calls) == [5] * 10


async def test_another_process_waits_and_is_woken(redis: RedisClient, other: RedisClient) -> None:
    source = Source(5)
    source.open.clear()
    first = call(ResultCache(int, client=redis), source)
    await loading(source)
    second = call(ResultCache(int, client=other), source)
    await eventually(lambda: not second.done())
    async with asyncio.timeout(5):
        while not await redis.pubsub_numsub("k:lease") == [("k:lease", 1)]:  # noqa: SIM201
            await asyncio.sleep(0.005)
    asked = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await asyncio.sleep(0.3)  # while it waits it does not ask
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == asked
    source.open.set()
    async with asyncio.timeout(1):
        assert [await first, await second] == [5, 5]
    assert source.loads == 1


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_a_cancelled_caller_harms_nobody(redis: RedisClient, gone: int) -> None:
    source = Source(5)
    source.open.clear()
    cache = ResultCache(int, client=redis)
    calls = [call(cache, source) for _ in range(3)]
    await loading(source)
    calls[gone].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[gone]
    source.open.set()
    assert [await each for each in calls if each is not calls[gone]] == [5, 5]
    assert (source.loads, source.cancelled) == (1, 0)


async def test_a_load_that_nobody_waits_for_is_given_up(
    redis: RedisClient, other: RedisClient
) -> None:
    source = Source(5)
    source.open.clear()
    calls = [call(ResultCache(int, client=redis), source) for _ in range(1)]
    await loading(source)
    theirs = Source(6)
    waiting = call(ResultCache(int, client=other), theirs)
    calls[0].cancel()
    async with asyncio.timeout(1):
        assert await waiting == 6  # long before the lease would have ended
    await eventually(lambda: source.cancelled == 1)
    assert await redis.keys("*") == ["k"]


async def test_a_caller_that_comes_when_the_last_one_goes_begins_another_load(
    redis: RedisClient,
) -> None:
    source = Source(5)
    source.open.clear()
    cache = ResultCache(int, client=redis)
    first = call(cache, source)
    await loading(source)
    first.cancel()
    second = call(cache, source)
    source.open.set()
    async with asyncio.timeout(1):
        assert await second == 5


async def test_an_error_goes_to_all_who_waited_and_to_nobody_else(
    redis: RedisClient, other: RedisClient
) -> None:
    source = Source(5)
    source.open.clear()
    source.error = KeyError("x")
    cache = ResultCache(int, client=redis)
    calls = [call(cache, source) for _ in range(3)]
    await loading(source)
    source.open.set()
    for each in calls:
        with pytest.raises(KeyError, match="x"):
            await each
    source.error = None
    assert await ResultCache(int, client=other).get_or_load("k", source.load) == 5
    assert [await cache.get_or_load("k", source.load) for _ in range(2)] == [5, 5]
    assert source.loads == 2
    assert cache.cache_info().failures == 1


async def test_processes_that_wait_for_a_load_that_fails_do_not_stand_in_line(
    server: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Each would wait for the next one's failure; they load at the same time instead.
    """
    clients = [RedisClient(server.settings) for _ in range(6)]
    source = Source(seconds=0.2)
    source.error = KeyError("x")
    calls = [call(ResultCache(int, client=client), source) for client in clients]
    started = asyncio.get_running_loop().time()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in errors] == [KeyError] * 6
    assert asyncio.get_running_loop().time() - started < 1.0
    for client in clients:
        await client.aclose()


async def test_the_lease_of_a_process_that_died_ends(
    redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.set("k:lease", "a token", px=300)
    source = Source(5)
    async with asyncio.timeout(1):
        assert await ResultCache(int, client=redis).get_or_load("k", source.load) == 5


async def test_a_load_that_takes_long_keeps_its_lease(
    redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sahool_cache.recipes.caching.lease.LASTS", 0.3)
    source = Source(5)
    source.open.clear()
    waiting = call(ResultCache(int, client=redis), source)
    await loading(source)
    await asyncio.sleep(0.6)
    assert 0 < await ttl_of(redis, "k:lease") <= 0.3
    source.open.set()
    assert await waiting == 5
    assert await redis.keys("*") == ["k"]


async def test_closing_the_client_ends_what_loads_in_the_background(
    server: EmbeddedSentinel, redis: RedisClient
) -> None:
    client = RedisClient(server.settings)
    source = Source(5)
    cache = ResultCache(int, client=client, hard_timeout=0.05)
    source.open.clear()
    with pytest.raises(TimeoutError, match="goes on in the background"):
        await cache.get_or_load("k", source.load)
    await client.aclose()
    await eventually(lambda: source.cancelled == 1)
    tasks = [task.get_name() for task in asyncio.all_tasks() if "load" in task.get_name()]
    assert tasks == []
    assert await redis.keys("*") == []  # its lease is given up as well


async def test_a_lease_that_would_never_end_is_nobodys(redis: RedisClient) -> None:
    await redis.set("k:lease", "a token")
    async with asyncio.timeout(1):
        assert await ResultCache(int, client=redis).get_or_load("k", Source(5).load) == 5


@pytest.mark.parametrize("same", [True, False])
async def test_callers_of_another_type_are_given_results_of_their_own(
    redis: RedisClient, other: RedisClient, same: bool
) -> None:
    """
    As when a new version of a program replaces an old one: what the other has stored is a miss.
    """
    old, new = Source({"id": 1}), Source(5)
    old.open.clear()
    first = call(ResultCache(dict[str, int], client=redis), old)
    await loading(old)
    numbers = ResultCache(int, client=redis if same else other)
    second = call(numbers, new)
    await eventually(lambda: numbers.cache_info().misses == 1)
    old.open.set()
    assert [await first, await second] == [{"id": 1}, 5]
    assert (old.loads, new.loads) == (1, 1)


async def test_what_a_load_starts_does_not_keep_it(redis: RedisClient) -> None:
    cache, tasks = ResultCache(str, client=redis), set()

    async def load() -> str:
        tasks.add(asyncio.create_task(asyncio.sleep(60)))
        return "large"

    for number in range(10):
        assert await cache.get_or_load(f"k{number}", load) == "large"

    def kept() -> int:
        gc.collect()
        return sum(type(each) is Flight for each in gc.get_objects())

    await eventually(lambda: kept() == 0)
    for each in tasks:
        each.cancel()


async def test_a_load_that_asks_for_its_own_result_does_not_wait_for_itself(
    redis: RedisClient,
) -> None:
    """
    As a function does that calls itself with an argument which is no part of the key.
    """
    cache = ResultCache(int, client=redis)
    depth = 0

    async def inner() -> int:
        return await cache.get_or_load("k", load)

    async def load() -> int:
        nonlocal depth
        depth += 1
        return await asyncio.create_task(inner()) + 1 if depth < 3 else 1

    async with asyncio.timeout(5):
        assert [await cache.get_or_load("k", load) for _ in range(2)] == [3, 3]
    assert depth == 3


STAMPEDE = """
import asyncio, json, sys
from sahool_cache import RedisClient
from sahool_cache.recipes import ResultCache

async def main():
    url, calls = sys.argv[1], int(sys.argv[2])
    async with RedisClient.from_url(url) as redis:
        loads = 0
        async def load():
            nonlocal loads
            loads += 1
            await redis.incr("loads")
            await asyncio.sleep(0.3)
            return {"id": 7}
        cache = ResultCache(dict, client=redis)
        await redis.incr("here")
        while int(await redis.get("here")) < 4:
            await asyncio.sleep(0.005)
        results = await asyncio.gather(*(cache.get_or_load("hot", load) for _ in range(calls)))
        print(json.dumps([results.count({"id": 7}), loads]))

asyncio.run(main())
"""


async def test_a_stampede_of_a_thousand_callers_in_four_processes_loads_once(
    server: EmbeddedSentinel, redis: RedisClient
) -> None:
    host, port = server.settings.sentinels[0]
    url = f"redis+sentinel://{host}:{port}/{server.settings.master_name}/0"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", STAMPEDE, url, "250", stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = [json.loads((await each.communicate())[0]) for each in processes]
    assert [results for results, _ in said] == [250] * 4
    assert sum(loads for _, loads in said) == 1
    assert await redis.get("loads") == "1"
