"""
A watcher over fake sentinels and servers that state their own roles.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from sahool_cache.address import Address
from sahool_cache.routing.sentinel_link import SentinelLink
from sahool_cache.routing.topology import Topology
from sahool_cache.routing.watcher import Watcher, WatcherOptions
from tests.unit.sentinels import FakeSentinel, FakeSentinels

__all__ = [
    "CHOSEN", "NEW", "OLD", "S1", "S2", "S3", "SENTINELS", "SERVERS", "THIRD", "Case", "watching",
]  # fmt: skip

OLD, NEW, THIRD = (Address("h", port) for port in (6379, 6380, 6381))
SERVERS = (OLD, NEW, THIRD)
S1, S2, S3 = SENTINELS = tuple(Address(f"s{n}", 26379) for n in (1, 2, 3))
CHOSEN = "slave h:6380 h 6380 @ m h 6379"


class Case:
    """
    Three sentinels, three servers with the roles that they state, and what was told of them.
    """

    def __init__(self) -> None:
        self.group = FakeSentinels(*(FakeSentinel(address, OLD) for address in SENTINELS))
        self.group.know_one_another()
        self.name(OLD, epoch=1)
        self.roles: dict[Address, str | None] = {OLD: "master", NEW: "replica", THIRD: "replica"}
        self.verified: list[Address] = []
        self.published: list[Topology] = []
        self.announced: list[str] = []
        self.fences: list[tuple[Any, ...]] = []
        self.rounds = 0
        self.watcher: Watcher

    def name(self, master: Address, *, epoch: int, by: tuple[Address, ...] = SENTINELS) -> None:
        """
        Those sentinels name that master, without any trouble, from now on.
        """
        for address in by:
            sentinel = self.group.at[address]
            sentinel.master, sentinel.epoch, sentinel.flags = master, epoch, "master"
            sentinel.replicas = tuple(each for each in SERVERS if each != master)

    def flag(self, flags: str) -> None:
        for sentinel in self.group.at.values():
            sentinel.flags = flags

    def say(self, event: str, text: str, by: tuple[Address, ...] = SENTINELS) -> None:
        for address in by:
            self.group.at[address].say(event, text)

    def choose(self) -> None:
        """
        Sentinel 1 leads a planned failover and has chosen NEW.
        """
        self.group.at[S1].flags = "master,failover_in_progress,force_failover"
        self.say("+try-failover", "master m h 6379", by=(S1,))
        self.say("+selected-slave", CHOSEN, by=(S1,))

    def promote(self, server: Address) -> None:
        self.roles.update(dict.fromkeys(SERVERS, "replica"))
        self.roles[server] = "master"

    async def verify(self, address: Address) -> str | None:
        self.verified.append(address)
        await asyncio.sleep(0.001)
        return self.roles.get(address)

    @property
    def masters(self) -> list[Address | None]:
        told: list[Address | None] = []
        for topology in self.published:
            if told[-1:] != [topology.master]:
                told.append(topology.master)
        return told

    def on_topology(self, new: Topology) -> None:
        self.published.append(new)

    def on_fence(self, why: str, crash: bool) -> None:
        self.fences.append((why, crash))

    def on_fence_lifted(self, why: str) -> None:
        self.fences.append((why,))

    def on_sentinel(self, link: SentinelLink) -> None:
        pass

    def on_announcement(self, event: str, node: Address | None) -> None:
        self.announced.append(event)

    def on_round(self) -> None:
        self.rounds += 1


@asynccontextmanager
async def watching(case: Case, **facts: Any) -> AsyncIterator[Watcher]:
    options = WatcherOptions(
        name="m", sentinels=facts.pop("sentinels", SENTINELS), reachable=lambda a: a, **facts
    )
    case.watcher = Watcher(
        options,
        dial=case.group.dial,
        verify=case.verify,
        listener=case,
        now=asyncio.get_running_loop().time,
        random=Random(1),
    )
    task = asyncio.create_task(case.watcher.run())
    try:
        await asyncio.sleep(1)
        yield case.watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
