"""
The sequence of faults: a crash of the master, then a hang of its successor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from math import ceil

from sahool_cache.cli.demo.stage import Stage, short
from sahool_cache.cli.demo.verdict import Fault
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["MINIMUM_SECONDS", "Script"]

MINIMUM_SECONDS = 15.0
"""
Two failovers of 2 s, two returns of an old master of 4 s, and a calm second before each fault and
at the end: what the faults take on a machine that is not busy.
"""

KILL_AT, HANG_AT, END_AT = 0.1, 0.5, 0.95
"""When each happens at the earliest, as a share of the whole."""

CALM = 1.2
"""Seconds of steady traffic before each fault, so that its cost stands apart from the other's."""

AWAY = 1.5
"""Seconds that a failed master stays away after it was replaced."""

RECOVERY = 12.0
"""Seconds for a client to write again; then the show goes on without it."""


class Script:
    """
    Plays the faults against the group, and notes them. `faults` are those that were done.

    The times hang on the group alone, never on a client: the master that hung goes on 1.5 s after
    it was replaced, whoever may still be waiting for it.
    """

    def __init__(self, group: EmbeddedSentinel, traffics: Sequence[Traffic], stage: Stage) -> None:
        self.faults: list[Fault] = []
        self._group = group
        self._traffics = traffics
        self._stage = stage

    async def play(self) -> None:
        """
        Returns when both faults are over and the time is up.

        Raises `TimeoutError` when the group itself does not recover.
        """
        await self._calm(KILL_AT, "the master is killed")
        await self._kill()
        await self._calm(HANG_AT, "the next master hangs")
        await self._hang()
        await self._calm(END_AT, "the count")

    async def _kill(self) -> None:
        group, stage = self._group, self._stage
        master = group.master
        stage.headline = "The master is dead: Sentinel must notice it and promote a replica."
        stage.conditions[master.address] = "killed"
        self.faults.append(Fault(kind="kill", at=time.monotonic()))
        stage.tell(f"SIGKILL to the master {short(master.address)}", "fault")
        await group.kill(master)
        since = time.monotonic()
        promoted = await group.wait_for_failover(master)
        stage.headline = "A replica was promoted; the dead server is started again."
        stage.tell(f"Sentinel has promoted {short(promoted.address)}")
        await asyncio.sleep(AWAY)
        stage.tell(f"{short(master.address)} is started again, empty", "repair")
        await group.restart(master)
        stage.conditions[master.address] = "returning"
        await self._settle(since)
        del stage.conditions[master.address]

    async def _hang(self) -> None:
        group, stage = self._group, self._stage
        master = group.master
        stage.headline = "The master hangs: its connections stay open, and nothing answers."
        stage.conditions[master.address] = "hung"
        self.faults.append(Fault(kind="hang", at=time.monotonic()))
        stage.tell(f"SIGSTOP to the master {short(master.address)}", "fault")
        await group.pause(master)
        since = time.monotonic()
        promoted = await group.wait_for_failover(master)
        stage.headline = "A replica was promoted; the hung server still believes it is the master."
        stage.tell(f"Sentinel has promoted {short(promoted.address)}")
        await asyncio.sleep(AWAY)
        stage.headline = "The old master goes on, as a master, until Sentinel demotes it."
        stage.tell(f"SIGCONT: {short(master.address)} wakes up as master", "repair")
        await group.resume(master)
        stage.conditions[master.address] = "returning"
        await self._settle(since)
        del stage.conditions[master.address]

    async def _settle(self, since: float) -> None:
        await self._group.wait_in_sync()
        self._stage.tell("the group is whole and in sync", "repair")
        deadline = time.monotonic() + RECOVERY
        while not all(each.recovered(since) for each in self._traffics):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.05)

    async def _calm(self, share: float, then: str) -> None:
        stage = self._stage
        until = max(stage.seconds * share, stage.elapsed + CALM)
        while (left := until - stage.elapsed) > 0:
            stage.headline = f"Steady traffic; next, in {ceil(left)} s: {then}."
            await asyncio.sleep(min(left, 0.1))
