"""
A roster over fake sentinels.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from sahool_cache.address import Address
from sahool_cache.background import Background
from sahool_cache.routing.discovery import SentinelView
from sahool_cache.routing.roster import Roster
from sahool_cache.routing.sentinel_link import SentinelLink
from tests.unit.clock import settle
from tests.unit.sentinels import FakeSentinel, FakeSentinels

__all__ = ["MASTER", "S1", "S2", "S3", "TIMEOUT", "Case", "running", "three"]

MASTER = Address("m", 6379)
S1, S2, S3 = (Address(f"s{n}", 26379) for n in (1, 2, 3))
TIMEOUT = 0.3


def three() -> FakeSentinels:
    group = FakeSentinels(*(FakeSentinel(address, MASTER) for address in (S1, S2, S3)))
    group.know_one_another()
    return group


class Case:
    """
    A roster over fake sentinels, and what it told.
    """

    def __init__(self, group: FakeSentinels, *configured: Address) -> None:
        self.heard: list[tuple[str, str]] = []
        self.states: list[tuple[Address, bool]] = []
        self.answers: list[tuple[float, frozenset[Address]]] = []
        self.views: dict[Address, SentinelView] = {}
        self.roster = Roster(
            configured,
            name="m",
            dial=group.dial,
            reachable=lambda address: address,
            timeout=TIMEOUT,
            random=Random(1),
            heard=lambda event, text: self.heard.append((event, text)),
            on_state=self.on_state,
        )

    def on_state(self, link: SentinelLink) -> None:
        self.states.append((link.address, link.connected))

    async def answered(self, views: dict[Address, SentinelView]) -> None:
        self.views = views
        self.answers.append((asyncio.get_running_loop().time(), frozenset(views)))

    async def ask(self, stop: asyncio.Event | None = None) -> None:
        await self.roster.ask(stop or asyncio.Event(), self.answered)

    def link(self, address: Address) -> SentinelLink:
        return self.roster.links[address]


@asynccontextmanager
async def running(group: FakeSentinels, *configured: Address) -> AsyncIterator[Case]:
    case = Case(group, *configured)
    async with Background() as tasks:
        case.roster.start(tasks)
        await settle()
        yield case
        tasks.cancel()
    await settle()
    assert [channel for each in group.at.values() for channel in each.channels] == []
