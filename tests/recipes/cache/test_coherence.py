"""
Nobody who comes after an invalidation is given what was loaded before it, whatever happens
meanwhile.

Callers in several clients read, change, invalidate, refresh and are cancelled at random, loads take
long or fail, leases end early. A course goes on until each of these has happened.
`CACHE_SECONDS=60` plays longer, `CACHE_SEED=n` plays one course again (as far as the network
allows).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes import ResultCache, invalidate_tags
from sahool_cache.recipes.caching.lease import Lease
from tests.recipes.cache.source import Source, eventually

pytestmark = pytest.mark.asyncio

SECONDS = float(os.environ.get("CACHE_SECONDS", "3"))
SEED = int(os.environ.get("CACHE_SEED", "0")) or random.randrange(1, 1 << 32)

KEYS = ("a", "b", "c")
EVENTS = ("read", "key", "tag", "refresh", "cancelled", "failed", "lost")


class Course:
    """
    One course of events. `truth` is the version that a database would have now, `promised` the one
    that everybody who comes from now on has to see.
    """

    def __init__(self, seed: int, clients: list[RedisClient]) -> None:
        self.random = random.Random(seed)
        self.clients = clients
        self.caches = [ResultCache(int, ttl=0.3, client=client) for client in clients]
        self.truth = dict.fromkeys(KEYS, 0)
        self.promised = dict.fromkeys(KEYS, 0)
        self.happened: Counter[str] = Counter()
        self.ended = False

    async def load(self, key: str) -> int:
        version = self.truth[key]
        await asyncio.sleep(self.random.choice([0, 0.001, 0.01, 0.05]))
        if self.random.random() < 0.05:
            self.happened["failed"] += 1
            raise KeyError(key)
        return version

    async def read(self, *, refresh: bool = False) -> None:
        key, cache = self.random.choice(KEYS), self.random.choice(self.caches)
        promised = self.promised[key]
        read = cache.refresh if refresh else cache.get_or_load
        try:
            version = await read(key, lambda: self.load(key), tags=["all", key])
        except KeyError:
            return
        assert promised <= version <= self.truth[key], (
            f"{key}: {version}, while {promised} was promised; seed {SEED}"
        )
        self.happened["read"] += 1

    async def change(self) -> None:
        key, place = self.random.choice(KEYS), self.random.randrange(len(self.caches))
        self.truth[key] += 1
        version = self.truth[key]
        way = self.random.choice(["key", "tag", "refresh"])
        if way == "key":
            await self.caches[place].invalidate(key)
        elif way == "tag":
            await invalidate_tags(key, "nothing", client=self.clients[place])
        else:
            try:
                await self.caches[place].refresh(key, lambda: self.load(key), tags=["all", key])
            except KeyError:
                return  # not said to be done
        self.promised[key] = max(self.promised[key], version)
        self.happened[way] += 1

    async def lose(self) -> None:
        """
        A lease ends before its load, as the clock of the server may jump.
        """
        key = self.random.choice(KEYS)
        self.happened["lost"] += await self.clients[0].delete(f"{key}:lease")

    async def caller(self) -> None:
        while not self.ended:
            kind = self.random.choices(
                [self.read, lambda: self.read(refresh=True), self.change, self.lose], [60, 2, 6, 3]
            )[0]
            task = asyncio.create_task(kind())
            await asyncio.sleep(self.random.choice([0, 0, 0.002, 0.01]))
            if self.random.random() < 0.1 and kind is not self.change:
                task.cancel()
                self.happened["cancelled"] += 1
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    @property
    def complete(self) -> bool:
        """
        Whether all has happened that may, and often enough.
        """
        hits = sum(cache.cache_info().hits for cache in self.caches)
        return hits > 100 and all(self.happened[each] for each in EVENTS)

    async def play(self, seconds: float, longest: float = 60) -> None:
        callers = [asyncio.create_task(self.caller()) for _ in range(24)]
        try:
            done, _ = await asyncio.wait(callers, timeout=seconds)
            while not done and longest > 0 and not self.complete:
                done, _ = await asyncio.wait(callers, timeout=0.1)
                longest -= 0.1
            for each in done:
                each.result()
        finally:
            self.ended = True
            await asyncio.wait(callers)
        for each in callers:
            each.result()


async def test_an_invalidation_is_never_overtaken(
    server: EmbeddedSentinel, redis: RedisClient, other: RedisClient
) -> None:
    async with RedisClient(server.settings) as third:
        course = Course(SEED, [redis, other, third])
        await course.play(SECONDS)
        assert course.complete, (SEED, course.happened)
    leases = [key for key in await redis.keys("*:lease") if await redis.get(key) != "-"]
    assert leases == []


async def test_nor_in_a_failover_if_invalidations_are_durable() -> None:
    async with EmbeddedSentinel(down_after=0.5, failover_timeout=3.0) as group:
        settings = group.settings.model_copy(
            update={"durability": "all", "durability_timeout": 1.0, "command_timeout": 20.0}
        )
        async with RedisClient(settings) as redis, RedisClient(settings) as other:
            course = Course(SEED, [redis, other])
            playing = asyncio.create_task(course.play(SECONDS + 3))
            await asyncio.sleep(1)
            await group.failover()
            await playing
            assert course.happened["read"] > 100
            assert redis.topology.epoch > 0


class Late:
    """
    The next reply to that request of a lease is under way until it `arrives`.
    """

    def __init__(self, request: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = asyncio.Event()
        self.arrives = asyncio.Event()
        asked = getattr(Lease, request)

        async def late(lease: Lease, *args: Any, **options: Any) -> Any:
            said = await asked(lease, *args, **options)
            if not self.done.is_set():
                self.done.set()
                await self.arrives.wait()
            return said

        monkeypatch.setattr(Lease, request, late)


async def test_a_result_that_is_under_way_is_not_given_to_who_comes_after_its_invalidation(
    redis: RedisClient, other: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ResultCache(int, client=redis), ResultCache(int, client=other)
    source, late = Source(1), Late("fill", monkeypatch)
    first = asyncio.create_task(ours.get_or_load("k", source.load))
    await late.done.wait()
    source.value = 2
    assert await theirs.invalidate("k") is True
    second = asyncio.create_task(ours.get_or_load("k", source.load))
    await eventually(lambda: ours.cache_info().misses == 2)
    late.arrives.set()
    assert [await first, await second] == [1, 2]


async def test_a_load_with_other_tags_is_not_given_to_who_comes_after_the_invalidation_of_a_tag(
    redis: RedisClient,
) -> None:
    cache, source = ResultCache(int, client=redis), Source(1)
    source.open.clear()
    first = asyncio.create_task(cache.get_or_load("k", source.load))
    await eventually(lambda: source.loads == 1)
    source.value = 2
    await invalidate_tags("t", client=redis)
    second = asyncio.create_task(cache.get_or_load("k", source.load, tags=["t"]))
    await eventually(lambda: cache.cache_info().misses == 2)
    source.open.set()
    assert [await first, await second] == [1, 2]


async def test_nor_is_one_that_another_process_has_stored_meanwhile(
    redis: RedisClient, other: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ResultCache(int, client=redis), ResultCache(int, client=other)
    source, looked = Source(1), ours._look
    late: list[Late] = []

    async def look(*args: Any) -> Any:
        seen = await looked(*args)
        await theirs.get_or_load("k", source.load)
        ours._look = looked  # type: ignore[method-assign]
        late.append(Late("take", monkeypatch))
        return seen

    ours._look = look  # type: ignore[method-assign]
    first = asyncio.create_task(ours.get_or_load("k", source.load))
    await eventually(lambda: bool(late))
    await late[0].done.wait()
    source.value = 2
    assert await theirs.invalidate("k") is True
    second = asyncio.create_task(ours.get_or_load("k", source.load))
    await eventually(lambda: ours.cache_info().misses == 2)
    late[0].arrives.set()
    assert [await first, await second] == [1, 2]
