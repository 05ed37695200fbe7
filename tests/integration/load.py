"""
Traffic that can be audited: every acknowledged write is remembered, and looked for at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["Load", "Report"]

KEPT = 50
"""Keys that exist from the start, and that the readers read again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What became of the traffic. Seconds; errors are counted as ``"incr OutcomeUnknownError"``.

    A write is lost when it was acknowledged and is not there at the end, and a duplicate when an
    INCR of a key of its own ran twice. `longest_gap` is the longest time without an
    acknowledged write that survived.
    """

    acked: int
    reads: int
    lost: int
    duplicates: int
    absent: int
    errors: dict[str, int]
    first_errors: tuple[str, ...]
    longest_call: float
    longest_gap: float


class Load:
    """
    Writers and replica readers that run within ``async with Load(redis) as load:``; afterwards
    `await load.report(group)` compares what was acknowledged with what the master has.
    """

    def __init__(
        self, redis: RedisClient, *, writers: int = 8, readers: int = 3, pace: float = 0.004
    ) -> None:
        self.acked: dict[str, float] = {}
        self.unknown: set[str] = set()
        self.errors: Counter[str] = Counter()
        self.first_errors: list[str] = []
        self.reads = 0
        self.absent = 0
        self.longest_call = 0.0
        self._redis = redis
        self._writers = writers
        self._readers = readers
        self._pace = pace
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self._span = (0.0, 0.0)

    async def __aenter__(self) -> Self:
        await self._redis.mset({f"kept:{n}": str(n) for n in range(KEPT)})
        if replicas := len(self._redis.topology.replicas):
            await self._redis.wait(replicas, 2000)
        self._span = (time.monotonic(), 0.0)
        self._tasks = [
            *(
                asyncio.create_task(self._write(n), name=f"writer {n}")
                for n in range(self._writers)
            ),
            *(asyncio.create_task(self._read(n), name=f"reader {n}") for n in range(self._readers)),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped = True
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
        self._span = (self._span[0], time.monotonic())

    async def flows(self, writes: int = 50, timeout: float = 15.0) -> None:
        """
        Returns when that many more writes were acknowledged; raises `TimeoutError` if they are not.
        """
        goal = len(self.acked) + writes
        async with asyncio.timeout(timeout):
            while len(self.acked) < goal:
                await asyncio.sleep(0.01)

    async def _write(self, writer: int) -> None:
        turn = 0
        while not self._stopped:
            turn += 1
            name = f"{writer}.{turn}"
            await self._one(f"sadd:{name}", "sadd", lambda: self._redis.sadd("ids", name))  # noqa: B023
            await self._one(f"set:{name}", "set", lambda: self._redis.set(f"set:{name}", name))  # noqa: B023
            await self._one(f"incr:{name}", "incr", lambda: self._redis.incr(f"incr:{name}"))  # noqa: B023
            await asyncio.sleep(self._pace)

    async def _read(self, reader: int) -> None:
        turn = reader
        while not self._stopped:
            turn += 1
            n = turn % KEPT
            value = await self._timed("get", lambda: self._redis.replica.get(f"kept:{n}"))  # noqa: B023
            if value is not _FAILED:
                self.reads += 1
                if value is None:
                    self.absent += 1
                assert value in (None, str(n)), f"kept:{n} holds {value!r}"
            await asyncio.sleep(self._pace)

    async def _one(self, key: str, kind: str, call: Callable[[], Awaitable[Any]]) -> None:
        if await self._timed(kind, call) is _FAILED:
            self.unknown.add(key)
        else:
            self.acked[key] = time.monotonic()

    async def _timed(self, kind: str, call: Callable[[], Awaitable[Any]]) -> Any:
        started = time.monotonic()
        try:
            return await call()
        except Exception as error:  # noqa: BLE001  # the report tells
            self.errors[f"{kind} {type(error).__name__}"] += 1
            if len(self.first_errors) < 5:
                self.first_errors.append(f"{kind}: {error!r}")
            return _FAILED
        finally:
            self.longest_call = max(self.longest_call, time.monotonic() - started)

    async def report(self, group: EmbeddedSentinel) -> Report:
        """
        The audit, asked of the group's master without the client.
        """
        there = await self._survivors(group)
        counts = Counter(there)
        times = sorted(at for key, at in self.acked.items() if key in counts)
        marks = [self._span[0], *times, self._span[1]]
        return Report(
            acked=len(self.acked),
            reads=self.reads,
            lost=sum(1 for key in self.acked if key not in counts),
            duplicates=sum(1 for count in counts.values() if count > 1),
            absent=self.absent,
            errors=dict(self.errors),
            first_errors=tuple(self.first_errors),
            longest_call=self.longest_call,
            longest_gap=max(after - before for before, after in pairwise(marks)),
        )

    async def _survivors(self, group: EmbeddedSentinel) -> list[str]:
        master = group.master
        ids = await group.command(master, "SMEMBERS", "ids")
        assert isinstance(ids, list)
        there = [f"sadd:{name}" for name in ids]
        keys = [key for key in (*self.acked, *self.unknown) if not key.startswith("sadd:")]
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            values = await group.command(master, "MGET", *some)
            assert isinstance(values, list)
            for key, value in zip(some, values, strict=True):
                # An INCR that ran twice counts twice.
                there += [key] * (0 if value is None else int(str(value)) if "incr" in key else 1)
        return there


_FAILED = object()
