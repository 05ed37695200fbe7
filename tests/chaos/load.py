"""
Steady traffic against the client under test; every call goes into the history.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from tests.chaos.arena import Group
from tests.chaos.clients import Client
from tests.chaos.history import History, Kind

__all__ = ["IDS", "KEPT", "READERS", "REGISTERS", "WRITERS", "Load", "is_register", "seed"]

WRITERS = 8
READERS = 3
KEPT = 40
"""Keys that exist from the start and never change."""
REGISTERS = 2
"""Keys of each writer that it writes again and again, each time another value."""
IDS = "ids"
PACE = 0.012
ENDS_WITHIN = 3.0
"""Seconds that the calls still running at the end have; then they count as unanswered."""


def register(task: str, number: int) -> str:
    """
    The name of one register.
    """
    return f"register:{task}:{number}"


def is_register(key: str) -> bool:
    """
    Whether the key is written again and again, so that only its last value can be looked up.
    """
    return key.startswith(("register:", "heartbeat"))


async def seed(group: Group) -> None:
    """
    Writes what exists from the start, and returns when every replica has it.
    """
    pairs = [(f"kept:{n}", f"kept {n}") for n in range(KEPT)]
    pairs += [(register(f"writer {n}", r), "0") for n in range(WRITERS) for r in range(REGISTERS)]
    master = group.master
    await group.command(master, "MSET", *(word for pair in pairs for word in pair))
    last = pairs[-1][0]
    async with asyncio.timeout(10):
        for replica in group.replicas:
            while await group.command(replica, "GET", last) != "0":
                await asyncio.sleep(0.01)


class Load:
    """
    Writers, a heartbeat and replica readers that run within ``async with``.
    """

    def __init__(self, client: Client, history: History) -> None:
        self.history = history
        self.unanswered = 0
        self.stopped = False
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """
        Its own tasks, which are no leak of the client's.
        """
        return frozenset(self._tasks)

    async def __aenter__(self) -> Self:
        jobs = [(f"writer {n}", self._write) for n in range(WRITERS)]
        jobs += [("heartbeat", self._beat), ("checker", self._check)]
        jobs += [(f"reader {n}", self._read) for n in range(READERS)]
        self._tasks = [asyncio.create_task(job(name), name=name) for name, job in jobs]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """
        Lets the running calls end; what does not within `ENDS_WITHIN` is given up. May be called
        twice.
        """
        self.stopped = True
        _, pending = await asyncio.wait(self._tasks, timeout=ENDS_WITHIN)
        self.unanswered += self.history.give_up()
        for task in pending:
            task.cancel()
        if pending:  # bounded again: some clients swallow a cancellation
            _, pending = await asyncio.wait(pending, timeout=1.0)
        for task in self._tasks:
            if task not in pending and not task.cancelled() and (error := task.exception()):
                raise error

    async def _write(self, task: str) -> None:
        turn = 0
        while not self.stopped:
            turn += 1
            name = f"{task[7:]}.{turn}"
            match turn % 4:
                case 1:
                    await self.call("sadd", IDS, name, task)
                case 2:
                    await self.call("set", f"set:{name}", name, task)
                case 3:
                    await self.call("incr", f"incr:{name}", None, task)
                case _:
                    await self.call("set", register(task, turn // 4 % REGISTERS), str(turn), task)
            await asyncio.sleep(PACE)

    async def _beat(self, task: str) -> None:
        beat = 0
        while not self.stopped:
            beat += 1
            await self.call("set", "heartbeat", str(beat), task)
            await asyncio.sleep(PACE)

    async def _check(self, task: str) -> None:
        # Reads of the master, for whoever judges the history of each register.
        turn = 0
        while not self.stopped:
            turn += 1
            key = register(f"writer {turn % WRITERS}", turn // WRITERS % REGISTERS)
            await self.call("get", key, None, task)
            await asyncio.sleep(PACE)

    async def _read(self, task: str) -> None:
        turn = int(task[7:]) * 7
        while not self.stopped:
            turn += 1
            if turn % 2:
                key = f"kept:{turn % KEPT}"
            else:
                key = register(f"writer {turn // 2 % WRITERS}", turn // 3 % REGISTERS)
            await self.call("replica_get", key, None, task)
            await asyncio.sleep(PACE)

    async def call(self, kind: Kind, key: str, value: str | None, task: str) -> None:
        """
        Makes one call and records it, whatever comes of it.
        """
        number = self.history.begin(kind, key, value, task)
        try:
            reply = await self._client.call(kind, key, value)
        except Exception as error:  # noqa: BLE001  # the history tells
            outcome = self._client.outcome(error)
            self.history.end(number, outcome, error=type(error).__name__)
        else:
            self.history.end(number, "ok", value=reply)
