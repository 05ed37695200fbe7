"""
Makes one client work, for a time or for a number of commands, and writes down what it cost.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Coroutine, Iterable
from typing import Any

from tests.benchmarks.model import Cell, Result, Target
from tests.benchmarks.processes import Clocks, bound_core, peak_resident, read_clocks, resident
from tests.benchmarks.ratios import percentile
from tests.benchmarks.works import Call, Data, Work

__all__ = ["Load", "result"]

_clock = time.perf_counter


class Load:
    """
    The tasks of one cell. Call `warm_up`, then `measure`.
    """

    def __init__(self, client: Any, cell: Cell, work: Work) -> None:
        data = Data(cell.value_bytes)
        self._call = work.start(client, data)
        self._beside = work.beside and work.beside(client, data)
        self._cell, self._work = cell, work

    async def warm_up(self) -> None:
        """
        Works for a moment that does not count.
        """
        await self._timed(self._cell.warm_up)

    async def measure(self, target: Target) -> Result:
        """
        The result of the work that counts.
        """
        before, began = _clocks(target), _clock()
        commands, took, memory = self._cell.commands, array("d"), []
        if commands is None:
            took = await self._timed(self._cell.seconds)
            commands = len(took) * self._work.run * self._work.commands
        else:
            for _ in range(self._cell.rounds):
                await self._counted(commands // self._cell.rounds)
                memory.append(resident())
        seconds, after = _clock() - began, _clocks(target)
        return result(
            self._cell,
            commands=commands,
            seconds=seconds,
            cpu=after.own - before.own,
            master_cpu=_spent(before.master, after.master),
            replica_cpu=_spent(before.replicas, after.replicas),
            foreign_cpu=after.foreign(before),
            rss_by_round=tuple(memory),
            took=took,
        )

    async def _timed(self, seconds: float) -> array[float]:
        took: array[float] = array("d")
        until = _clock() + seconds
        size = self._work.run
        await self._all(
            _work(self._call, until, took) if size == 1 else _runs(self._call, until, took, size)
            for _ in range(self._cell.tasks)
        )
        return took

    async def _counted(self, commands: int) -> None:
        calls = commands // self._work.commands
        share, more = divmod(calls, self._cell.tasks)
        tasks = self._cell.tasks
        if self._cell.profiled and tasks > 1:
            step = _Step(tasks)
            await self._all(_in_step(self._call, share, step) for _ in range(tasks))
        else:
            await self._all(_times(self._call, share + (n < more)) for n in range(tasks))

    async def _all(self, works: Iterable[Coroutine[None, None, None]]) -> None:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as others:
            if self._beside is not None:
                for n in range(self._work.beside_tasks):
                    others.create_task(_beside(self._beside, over), name=f"beside {n}")
            await asyncio.gather(*works)
            over.set()


async def _work(call: Call, until: float, took: array[float]) -> None:
    # At least once: when ten thousand of these have begun, the time may be over.
    now, add = _clock(), took.append
    while True:
        await call()
        then = _clock()
        add(then - now)
        if then >= until:
            return
        now = then


async def _runs(call: Call, until: float, took: array[float], size: int) -> None:
    now = _clock()
    while True:
        for _ in range(size):
            await call()
        await asyncio.sleep(0)
        then = _clock()
        took.append((then - now) / size)
        if then >= until:
            return
        now = then


async def _times(call: Call, count: int) -> None:
    for _ in range(count):
        await call()


class _Step:
    """
    Where tasks wait until all of them have come.
    """

    def __init__(self, tasks: int) -> None:
        self._tasks = self._due = tasks
        self._all_here = asyncio.get_running_loop().create_future()

    async def arrive(self) -> None:
        self._due -= 1
        if self._due:
            await self._all_here
            return
        all_here = self._all_here
        self._due, self._all_here = self._tasks, all_here.get_loop().create_future()
        all_here.set_result(None)


async def _in_step(call: Call, count: int, step: _Step) -> None:
    for _ in range(count):
        await call()
        await step.arrive()


async def _beside(call: Call, over: asyncio.Event) -> None:
    # Told, not cancelled: before Python 3.12 a client that waits with a timeout may lose that.
    while not over.is_set():
        await call()


def _clocks(target: Target) -> Clocks:
    return read_clocks(target.master_pid, target.replica_pids, target.other_pids)


def _spent(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def result(cell: Cell, *, took: Iterable[float], **figures: Any) -> Result:
    """
    A result whose latencies are `took`, in seconds.
    """
    ordered = sorted(took)
    p50, p99, p999 = (_microseconds(percentile(ordered, each)) for each in (50, 99, 99.9))
    return Result(
        cell=cell,
        rss=resident(),
        peak_rss=peak_resident(),
        core=bound_core(),
        p50=p50,
        p99=p99,
        p999=p999,
        **figures,
    )


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e6 * seconds
