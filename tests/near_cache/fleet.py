"""
A near cache without a client: what it needs of a fleet, played, and how it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from sahool_cache.address import Address
from sahool_cache.events import Event
from sahool_cache.near_cache import NearCache
from sahool_cache.policy.deadline import Deadline
from sahool_cache.routing.router import ReadFrom
from sahool_cache.routing.topology import Topology
from sahool_cache.settings import NearCacheSettings, RedisSettings
from tests.near_cache.tracked import Server

__all__ = ["MASTER", "OTHER", "Fleet", "near_cache", "read"]

MASTER, OTHER = Address("master", 6379), Address("other", 6379)


class Fleet:
    """
    Who is master, and what was told. `servers` are those that can be dialled.
    """

    def __init__(self, servers: dict[Address, Server]) -> None:
        self.servers = servers
        self.topology = Topology(master=MASTER, epoch=1)
        self.watcher = SimpleNamespace(fenced=False)
        self.events = SimpleNamespace(emit=self._emit)
        self.on_refresh: Callable[[], None] = lambda: None
        self.told: list[Any] = []
        self.missing: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def _emit(self, event: Event) -> None:
        self.told.append(event)

    def server(self, address: Address) -> Any:
        return self.servers[address].dial, None

    def right_missing(self, right: str) -> None:
        self.missing.append(right)

    def run_beside(self, run: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        self.tasks.add(asyncio.create_task(run(), name=name))

    def switch(self, topology: Topology, *, fenced: bool = False) -> None:
        self.topology, self.watcher.fenced = topology, fenced
        self.on_refresh()


@asynccontextmanager
async def near_cache(
    fleet: Fleet,
    *,
    decode: bool = True,
    quiet_after: float = 0.2,
    budget: float = 5.0,
    **limits: Any,
) -> AsyncIterator[NearCache]:
    """
    A cache that follows that fleet.
    """
    settings = RedisSettings.isolated(
        sentinels=["h:1"],
        master_name="m",
        decode_responses=decode,
        quiet_after=quiet_after,
        command_timeout=budget,
    )
    near = NearCache(
        cast("Any", fleet), settings, NearCacheSettings(**limits), cast("Any", fleet), Random(1)
    )
    near.follow()
    try:
        yield near
    finally:
        for task in fleet.tasks:
            task.cancel()
        await asyncio.gather(*fleet.tasks, return_exceptions=True)


async def read(
    near: NearCache, *args: Any, read_from: ReadFrom = "master", timeout: float = 5.0
) -> Any:
    """
    The reply, or `ELSEWHERE`; a GET first looks where `RedisClient.get` looks.
    """
    if args[0] == "GET":
        entry, now = near.entries.get(args[1]), near.now()
        if entry is not None and now < entry.expires and now < entry.shelf.trusted:
            near.hits += 1
            return entry.reply
    return await near.read(args, read_from, Deadline(timeout))
