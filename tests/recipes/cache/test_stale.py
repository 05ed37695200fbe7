"""
Results that are given although they are old: while they are loaded anew, or because that fails.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from sahool_cache import RedisClient
from sahool_cache.recipes import ResultCache
from tests.recipes.cache.source import Source, eventually, ttl_of

pytestmark = pytest.mark.asyncio


async def aged(redis: RedisClient, seconds: float, key: str = "k") -> None:
    """
    Makes the stored result that much older; the server's own clock goes on as before.
    """
    entry = json.loads(await redis.get(key) or "")
    entry["at"] -= seconds
    await redis.set(key, json.dumps(entry), keepttl=True)


async def test_an_old_result_is_given_while_it_is_loaded_anew(
    redis: RedisClient, other: RedisClient
) -> None:
    source = Source(1)
    cache = ResultCache(int, ttl=10, client=redis, stale_while_revalidate=20, jitter=0)
    theirs = ResultCache(int, ttl=10, client=other, stale_while_revalidate=20, jitter=0)
    await cache.get_or_load("k", source.load)
    assert 29 < await ttl_of(redis, "k") <= 30
    await aged(redis, 12)
    source.value = 2
    source.open.clear()
    for _ in range(5):
        assert await cache.get_or_load("k", source.load) == 1
        assert await theirs.get_or_load("k", source.load) == 1
    await eventually(lambda: source.loads == 2)
    source.open.set()

    async def fresh() -> bool:
        return await cache.get_or_load("k", source.load) == 2

    async with asyncio.timeout(2):
        while not await fresh():
            await asyncio.sleep(0.005)
    assert source.loads == 2
    assert cache.cache_info().stale >= 5


async def test_a_result_that_is_too_old_is_waited_for(redis: RedisClient) -> None:
    source = Source(1)
    cache = ResultCache(int, ttl=10, client=redis, stale_while_revalidate=5, jitter=0)
    await cache.get_or_load("k", source.load)
    await aged(redis, 16)
    source.value = 2
    assert await cache.get_or_load("k", source.load) == 2


async def test_an_old_result_is_given_if_loading_fails(
    redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(1)
    cache = ResultCache(int, ttl=10, client=redis, stale_if_error=60, jitter=0)
    await cache.get_or_load("k", source.load)
    await aged(redis, 12)
    source.value, source.error = 2, KeyError("database")
    with caplog.at_level(logging.WARNING, "sahool_cache.recipes"):
        assert [await cache.get_or_load("k", source.load) for _ in range(5)] == [1] * 5
    assert source.loads == 2  # what fails is not tried again at once
    assert len(caplog.records) == 1
    assert "database" in caplog.text
    source.error = None
    async with asyncio.timeout(3):
        while await cache.get_or_load("k", source.load) != 2:
            await asyncio.sleep(0.05)


async def test_a_result_that_is_too_old_is_not_given_if_loading_fails(redis: RedisClient) -> None:
    source = Source(1)
    cache = ResultCache(int, ttl=10, client=redis, stale_if_error=60, jitter=0)
    await cache.get_or_load("k", source.load)
    await aged(redis, 71)
    source.error = KeyError("database")
    with pytest.raises(KeyError):
        await cache.get_or_load("k", source.load)


async def test_a_load_that_fails_in_the_background_leaves_the_old_result(
    redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(1)
    cache = ResultCache(int, ttl=10, client=redis, stale_while_revalidate=60, jitter=0)
    await cache.get_or_load("k", source.load)
    await aged(redis, 12)
    source.error = KeyError("database")
    with caplog.at_level(logging.WARNING, "sahool_cache.recipes"):
        assert await cache.get_or_load("k", source.load) == 1
        await eventually(lambda: source.loads == 2)
        await eventually(lambda: "database" in caplog.text)
        assert [await cache.get_or_load("k", source.load) for _ in range(20)] == [1] * 20
    assert source.loads == 2


async def test_a_slow_load_is_not_waited_for_where_there_is_an_old_result(
    redis: RedisClient,
) -> None:
    source = Source(1)
    cache = ResultCache(
        int, ttl=10, client=redis, stale_if_error=60, soft_timeout=0.05, hard_timeout=5, jitter=0
    )
    await cache.get_or_load("k", source.load)
    await aged(redis, 12)
    source.value = 2
    source.open.clear()
    assert await cache.get_or_load("k", source.load) == 1
    assert (source.loads, source.cancelled) == (2, 0)
    source.open.set()
    async with asyncio.timeout(2):
        while json.loads(await redis.get("k") or "")["data"] != 2:
            await asyncio.sleep(0.005)
    assert await cache.get_or_load("k", source.load) == 2
    assert source.loads == 2


async def test_nobody_waits_for_longer_than_the_hard_timeout(redis: RedisClient) -> None:
    source = Source(1)
    cache = ResultCache(int, client=redis, soft_timeout=0.01, hard_timeout=0.1)
    source.open.clear()
    calls = [asyncio.create_task(cache.get_or_load("k", source.load)) for _ in range(3)]
    for each in calls:
        with pytest.raises(TimeoutError, match="loading k took too long"):
            await each
    source.open.set()
    async with asyncio.timeout(2):
        while not await redis.exists("k"):
            await asyncio.sleep(0.005)
    assert await cache.get_or_load("k", source.load) == 1
    assert (source.loads, source.cancelled) == (1, 0)


async def test_a_timeout_of_the_function_itself_is_its_error(redis: RedisClient) -> None:
    source = Source(1)
    source.error = TimeoutError("of the database")
    with pytest.raises(TimeoutError, match="of the database"):
        await ResultCache(int, client=redis, hard_timeout=5).get_or_load("k", source.load)


class Luck:
    """
    What a draw gives: 1.0 would be the latest moment, just above 0 the earliest.
    """

    def __init__(self, drawn: float) -> None:
        self.drawn = drawn

    def random(self) -> float:
        return 1.0 - self.drawn


@pytest.mark.parametrize(
    ("age", "took", "drawn", "early"),
    [
        (99.0, 2.0, 0.5, True),  # 2 s x ln 2 = 1.39 s before the end
        (98.0, 2.0, 0.5, False),
        (98.0, 2.0, 0.36, True),  # 2.04 s
        (76.0, 20.0, 0.3, True),  # 24.08 s
        (74.0, 2000.0, 0.3, False),  # not in the first three quarters
    ],
)
async def test_a_result_is_loaded_earlier_the_longer_that_takes(
    redis: RedisClient, age: float, took: float, drawn: float, early: bool
) -> None:
    source = Source(1)
    cache: ResultCache[Any] = ResultCache(int, ttl=100, client=redis, jitter=0)
    await cache.get_or_load("k", source.load)
    entry = json.loads(await redis.get("k") or "")
    entry["took"] = took
    await redis.set("k", json.dumps(entry), keepttl=True)
    await aged(redis, age)
    cache._random = Luck(drawn)  # type: ignore[assignment]
    source.value = 2
    assert await cache.get_or_load("k", source.load) == 1  # nobody waits
    if early:
        await eventually(lambda: source.loads == 2)
    assert source.loads == 1 + early


async def test_early_refresh_can_be_left_out(redis: RedisClient) -> None:
    source = Source(1)
    cache: ResultCache[Any] = ResultCache(int, ttl=100, client=redis, jitter=0, early_refresh=0)
    await cache.get_or_load("k", source.load)
    await aged(redis, 99.9)
    cache._random = Luck(1e-9)  # type: ignore[assignment]
    assert await cache.get_or_load("k", source.load) == 1
    assert source.loads == 1
