"""
The traffic of one client: many small tasks, each with a steady pace, and a book of their calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import count
from random import Random

from sahool_cache.cli.traffic.ledger import Call, Figures, Kind, Ledger
from sahool_cache.cli.traffic.target import Target

__all__ = ["Traffic"]

TASKS: dict[Kind, int] = {"sadd": 4, "set": 4, "hincrby": 4, "get": 8}
PACE = 0.025
"""Seconds from one call of a task to its next."""

LAST_CALLS = 3.0
CLOSING = 2.0
"""Seconds for calls in flight, and for a goodbye: a client that hangs must not hang the command."""


class Traffic:
    """
    Concurrent reads and writes through one client. A task whose call hangs makes no other one.

    `sets` are the numbers of all SETs, those that failed too.

    Two clients may share the event loop: at the usual pace (800 calls a second each) they keep it
    busy for a tenth of the time, so that neither slows the other, and every pause of the machine
    or of the loop meets both alike.
    """

    def __init__(
        self,
        target: Target,
        random: Random,
        *,
        tasks: Mapping[Kind, int] = TASKS,
        pace: float = PACE,
    ) -> None:
        self.target = target
        self.ledger = Ledger(time.monotonic())
        self.ended = self.ledger.last_write
        self.sets: list[int] = []
        self._plan = tasks
        self._pace = pace
        self._random = random
        self._numbers = count(1)
        self._stored = [0]
        self._in_flight: dict[int, tuple[Kind, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._going = False

    def start(self) -> None:
        """
        Begins, with the tasks spread over the pace.
        """
        self.ledger = Ledger(time.monotonic())
        self._going = True
        for kind, tasks in self._plan.items():
            for number in range(tasks):
                name = f"{self.target.prefix}:{kind}:{number}"
                self._tasks.append(asyncio.create_task(self._keep_calling(kind), name=name))

    async def stop(self) -> None:
        """
        Begins no more calls, and gives those in flight a moment; what is unanswered then failed,
        and is not made later.
        """
        self._going = False
        self.ended = time.monotonic()
        if not self._tasks:
            return
        await asyncio.wait(self._tasks, timeout=LAST_CALLS)
        now = time.monotonic()
        for number, (kind, began) in sorted(self._in_flight.items()):
            self.ledger.enter(
                Call(kind=kind, number=number, began=began, ended=now, error="no answer")
            )
        self._in_flight.clear()
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """
        Ends the tasks and the client, within a bounded time.
        """
        self._going = False
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING)
            self._tasks.clear()
        try:
            async with asyncio.timeout(CLOSING):
                await self.target.aclose()
        except Exception:  # noqa: BLE001  # its connections end with the group
            return

    def figures(self) -> Figures:
        """
        How it is doing now.
        """
        return self.ledger.figures(time.monotonic())

    def recovered(self, since: float) -> bool:
        """
        Whether a write that began after `since` was acknowledged.
        """
        return self.ledger.last_write_began > since

    async def _keep_calling(self, kind: Kind) -> None:
        due = time.monotonic() + self._random.uniform(0.0, self._pace)
        while self._going:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._call(kind)
            due = max(due + self._pace, time.monotonic())

    async def _call(self, kind: Kind) -> None:
        number = next(self._numbers)
        target = self._random.choice(self._stored) if kind == "get" else number
        if kind == "set":
            self.sets.append(number)
        began = time.monotonic()
        self._in_flight[number] = (kind, began)
        error = None
        try:
            await self.target.call(kind, target)
        except Exception as failure:  # noqa: BLE001  # whatever reaches the application counts
            error = type(failure).__name__
        if self._in_flight.pop(number, None) is None:
            return
        if kind == "set" and error is None:
            self._stored.append(number)
        ended = time.monotonic()
        self.ledger.enter(Call(kind=kind, number=number, began=began, ended=ended, error=error))
