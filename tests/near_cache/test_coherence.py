"""
Real servers, other clients that write, and everything that can go wrong: no read is older than it
may be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import RedisError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.near_cache import NearCacheStats
from sahool_cache.settings import NearCacheSettings
from tests.near_cache.clients import caching, figures, near, trackers
from tests.near_cache.history import History, read, write, write_short

BOUND, LAG = 0.3, 1.0
KEYS = tuple(f"key:{number}" for number in range(6))


@pytest_asyncio.fixture
async def group() -> AsyncIterator[EmbeddedSentinel]:
    tuning = {"info-period": 1000, "publish-period": 500}
    async with EmbeddedSentinel(
        down_after=0.5, failover_timeout=1.0, sentinel_debug=tuning
    ) as group:
        yield group


async def cut(group: EmbeddedSentinel, random: Random) -> None:
    """
    Ends every connection that is tracked, again and again.
    """
    for _ in range(6):
        await asyncio.sleep(0.2 * random.random())
        for node in (group.master, *group.replicas):
            for client in await trackers(group, node):
                try:
                    await group.command(node, "CLIENT", "KILL", "ID", client)
                except RedisError:  # gone by itself
                    continue


async def mute(redis: RedisClient, seconds: float) -> None:
    """
    Nothing comes over the tracked connections for so long, and they stay open.
    """
    lanes = [source._tracking for source in near(redis)._sources.values()]
    transports: list[Any] = [lane._transport for lane in lanes if lane is not None]
    for transport in transports:
        transport.pause_reading()
    await asyncio.sleep(seconds)
    for transport in transports:
        if not transport.is_closing():
            transport.resume_reading()


async def empty(group: EmbeddedSentinel, history: History) -> None:
    before = {key: history.oldest(key, time.monotonic()) for key in history.keys}
    history.emptied.update({key: history.begun.get(key, 0) + 0.5 for key in history.keys})
    await group.command(group.master, "FLUSHALL")
    await asyncio.sleep(0.1)  # all replicas have it
    for key, version in before.items():
        history.note(key, version + 0.5)


async def replaced(group: EmbeddedSentinel, old: Node) -> None:
    """
    Returns a moment after the group has a new master.
    """
    await group.wait_for_failover(old)
    await asyncio.sleep(0.5)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_no_read_is_older_than_the_bound_whatever_happens(group: EmbeddedSentinel) -> None:
    random, history = Random(1), History(keys=KEYS)
    limits = NearCacheSettings(max_staleness=BOUND)
    watched: list[NearCacheStats] = []
    async with (
        caching(group, limits, max_replica_lag=LAG) as redis,
        caching(group, limits, max_replica_lag=LAG, read_from="replica_preferred") as replica,
    ):
        pause = lambda: 0.004 * random.random()  # noqa: E731
        tasks = [
            asyncio.create_task(write(group, history)),
            asyncio.create_task(write_short(group, history)),
            *(asyncio.create_task(read(history, "master", redis, BOUND, pause)) for _ in range(2)),
            asyncio.create_task(read(history, "replica", replica, BOUND + LAG + 1.0, pause)),
        ]
        await cut(group, random)
        await empty(group, history)
        await cut(group, random)
        await asyncio.gather(mute(redis, 0.2), mute(replica, 0.2))  # they are trusted again
        await asyncio.gather(mute(redis, 1.0), mute(replica, 3.0))
        assert history.writes > 100
        await replaced(group, await group.failover())
        await asyncio.gather(cut(group, random), group.wait_in_sync())
        await empty(group, history)
        paused = group.master
        await group.pause(paused)
        await replaced(group, paused)
        await group.resume(paused)
        await asyncio.gather(cut(group, random), group.wait_in_sync())
        await replaced(group, await group.kill_master())
        before = history.writes
        until = time.monotonic() + 5
        while history.writes < before + 50 and time.monotonic() < until:
            await asyncio.sleep(0.05)
        watched += [figures(redis), figures(replica)]
        history.stopped = True
        await asyncio.gather(*tasks)
        assert near(redis).master is not None
    assert not history.problems, "\n".join(history.problems[:20])
    assert history.writes >= before + 50
    for told in watched:
        assert told.hits > 300, told
        assert told.invalidations > 50, told
        assert told.flushes >= 5, told
    assert history.reads > 5000
