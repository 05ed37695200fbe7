"""
Clients with a near cache, and what the server says of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.near_cache import NearCache, NearCacheStats
from sahool_cache.observers import Observer
from sahool_cache.settings import NearCacheSettings
from tests.integration.observe import eventually

__all__ = ["caching", "calls", "figures", "near", "ready", "trackers"]


def near(redis: RedisClient) -> NearCache:
    assert redis.near_cache is not None
    return redis.near_cache


def figures(redis: RedisClient) -> NearCacheStats:
    told = redis.stats().near_cache
    assert told is not None
    return told


async def ready(redis: RedisClient) -> None:
    """
    Returns when every server that is read from says what changes.
    """
    cache = near(redis)
    assert await eventually(
        lambda: cache._sources and all(s.shelf.trusted for s in cache._sources.values())
    )


@asynccontextmanager
async def caching(
    group: EmbeddedSentinel,
    limits: NearCacheSettings | None = None,
    *,
    observers: tuple[Observer, ...] = (),
    wait: bool = True,
    **settings: Any,
) -> AsyncIterator[RedisClient]:
    """
    An open client with a near cache.
    """
    update = {"near_cache": limits or True, **settings}
    made = group.settings.model_copy(update=update)
    async with RedisClient(made, observers=observers) as redis:
        if wait:
            if made.read_from != "master":
                count = len(group.replicas)
                assert await eventually(lambda: len(redis.topology.in_rotation) == count)
            await ready(redis)
        yield redis


async def calls(group: EmbeddedSentinel, name: str, node: Node | None = None) -> int:
    """
    How often a server has run that command since its figures were set back.
    """
    reply = await group.command(node or group.master, "INFO", "commandstats")
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    for line in text.splitlines():
        if line.startswith(f"cmdstat_{name}:calls="):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


async def trackers(group: EmbeddedSentinel, node: Node | None = None) -> list[str]:
    """
    The ids of the connections that the server tracks.
    """
    reply = await group.command(node or group.master, "CLIENT", "LIST")
    text = reply.decode() if isinstance(reply, bytes) else str(reply)
    clients = [dict(f.partition("=")[::2] for f in line.split()) for line in text.splitlines()]
    return [client["id"] for client in clients if "t" in client["flags"]]
