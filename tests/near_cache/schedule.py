"""
One drawn course of events for a near cache, on virtual time: who reads and writes what, and what
goes wrong meanwhile. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from sahool_cache.near_cache import ELSEWHERE, NearCache
from tests.near_cache.fleet import MASTER, OTHER, Fleet, near_cache, read
from tests.near_cache.tracked import Server, jitter
from tests.unit.clock import VirtualLoop, play

__all__ = ["Course", "run"]

KEYS = (b"a", b"b", b"c")
LASTS = 0.7
"""Seconds of a course."""


@dataclass(kw_only=True)
class Course:
    """
    What came of it. `problems` are replies that no promise allows.
    """

    seed: int
    reads: int = 0
    hits: int = 0
    faults: int = 0
    problems: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


class Play:
    """
    The players of one course. `server` is the master at this moment.
    """

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.course = Course(seed=seed)
        self.loop = asyncio.get_running_loop()
        self.bound = random.choice([0.02, 0.1, 0.3])
        slow = random.choice([0.01, 0.2, 0.7])
        self.server = Server(jitter(random, random.choice([0.001, 0.01]), slow))
        self.fleet = Fleet({MASTER: self.server, OTHER: self.server})
        self.own: dict[bytes, int] = {}
        self.over = self.loop.time() + LASTS

    def note(self, text: str) -> None:
        self.course.trace.append(f"{self.loop.time() - 1000:9.4f} {text}")

    async def rest(self, usual: float) -> bool:
        await asyncio.sleep(self.random.expovariate(1 / usual))
        return self.loop.time() < self.over

    async def reader(self, near: NearCache) -> None:
        while await self.rest(0.02):
            key = self.random.choice(KEYS)
            begin, server = self.loop.time(), self.server
            floor = max(server.delivered.get(key, 0), self.own.get(key, 0))
            several = self.random.random() < 0.2
            call = ("MGET", key.decode(), "other") if several else ("GET", key.decode())
            reply: Any = await read(near, *call, timeout=self.random.choice([0.05, 5.0]))
            if reply is ELSEWHERE:
                continue
            value = reply[0] if several else reply
            self.course.reads += 1
            self.note(f"{key!r} is {value}, asked at {begin - 1000:.4f}")
            self.judge(key, value, begin, floor)

    def judge(self, key: bytes, value: str | None, begin: float, floor: int) -> None:
        now = self.loop.time()
        seen = list(self.server.seen(key, begin - self.bound, now))
        if not any(value == each and number >= floor for each, number in seen):
            self.course.problems.append(
                f"at {now - 1000:.4f} {key!r} was {value}, asked at {begin - 1000:.4f}, bound"
                f" {self.bound}; it was {seen}, and not older than {floor}"
            )
        if begin == now and value is not None:  # it was there already
            ends = next(c.ends for c in self.server.changes[key] if c.value == value)
            if ends <= now:
                self.course.problems.append(f"{key!r} outlived its time at {now - 1000:.4f}")

    def write(self, key: bytes) -> int:
        random, server = self.random, self.server
        value = None if random.random() < 0.1 else str(server.count + 1)
        lives = random.random() * 0.3 if random.random() < 0.3 else float("inf")
        change = server.change(key, value, lives)
        self.note(f"{key!r} = {value} until {change.ends - 1000:.4f}")
        return change.number

    async def writer(self) -> None:
        while await self.rest(0.03):
            if self.random.random() < 0.03:
                self.note("everything is removed")
                self.server.flush()
            self.write(self.random.choice(KEYS))
            if self.random.random() < 0.5:
                self.server.expire()

    async def own_writer(self, near: NearCache) -> None:
        while await self.rest(0.05):
            key = self.random.choice(KEYS)
            number = self.write(key)
            await asyncio.sleep(self.server.delay())
            near.wrote([("SET", key, str(number))])
            self.own[key] = number

    async def fate(self) -> None:
        while await self.rest(0.1):
            kind = self.random.choice(["lose", "silence", "stall", "switch", "fence", "epoch"])
            self.note(kind)
            self.course.faults += 1
            links = list(self.server.links)
            if kind == "lose":
                for link in links:
                    link.lose()
            elif kind == "silence":
                for link in links:
                    link.silent = True
            elif kind == "stall":
                assert isinstance(self.loop, VirtualLoop)
                self.loop._jumping.now += self.random.random() * 3 * self.bound
            elif kind == "fence":
                self.fleet.switch(self.fleet.topology, fenced=True)
                await self.rest(0.02)
                self.fleet.switch(self.fleet.topology)
            else:
                self._switch(moves=kind == "switch")

    def _switch(self, *, moves: bool) -> None:
        topology = self.fleet.topology
        new = OTHER if topology.master == MASTER and moves else MASTER if moves else topology.master
        assert new is not None
        if moves:
            self.server = self.fleet.servers[new] = self.server.replaced()
        self.fleet.switch(replace(topology, master=new, epoch=topology.epoch + 1))

    async def all(self) -> Course:
        quiet_after = self.random.choice([0.05, 0.2, 4.0])
        limits = {"max_staleness": self.bound, "ttl": self.random.choice([0.1, 60.0])}
        async with near_cache(self.fleet, quiet_after=quiet_after, **limits) as near:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(2):
                    tasks.create_task(self.reader(near))
                tasks.create_task(self.writer())
                tasks.create_task(self.own_writer(near))
                tasks.create_task(self.fate())
            self.course.hits = near.hits
            if len(near._store) != len(near.entries) and near.master is not None:
                self.course.problems.append("something is kept that nobody can find")
        return self.course


def run(seed: int) -> Course:
    """
    Plays the course of that seed.
    """

    async def scenario() -> Course:
        return await Play(seed).all()

    return play(scenario())
