"""
How cost grows: with tasks, with the size of values, with lanes, with processes; and what small
commands suffer from big and slow ones beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from statistics import median
from typing import Any

import msgspec

from tests.benchmarks.model import BASELINE, OURS, Cell, Result
from tests.benchmarks.plan import Timing
from tests.benchmarks.report import Line, number
from tests.benchmarks.runner import Runner

__all__ = ["BIG", "HEAD", "SIZES", "crowds", "growth_lines", "lanes", "neighbours", "sizes"]

BIG = 1_000_000
SIZES = (100, 1_000, 10_000, BIG)
TASKS = (1, 10, 100, 1_000, 10_000)
LANES = (1, 2, 4, 8)
PROCESSES = (1, 2, 4, 8, 16)

_BIG_ONES = 300
"""Commands with big values in one cell. A server keeps every reply until it is read: as many of
them as ten thousand tasks can ask for at once would fill the machine, whoever the client is."""

HEAD: Line = (
    *("work", "client", "processes", "tasks", "bytes", "commands/s"),
    *("CPU us", "p50 us", "p99 us", "MB at most"),
)


def sizes(timing: Timing) -> list[list[Cell]]:
    """
    Every number of tasks with every size of values, by ours and by the baseline.
    """
    return [
        [
            timing.cell(
                "get",
                client,
                "asyncio",
                tasks=tasks,
                value_bytes=size,
                commands=_BIG_ONES if size == BIG else None,
                warm_up=0.0 if size == BIG else timing.warm_up,
            )
            for client in (BASELINE, OURS)
        ]
        for size, tasks in product(SIZES, TASKS)
    ]


def lanes(timing: Timing) -> list[list[Cell]]:
    """
    One to eight lanes.
    """
    return [
        [_with_lanes(timing, work, count) for count in LANES] for work in ("get-100", "get-1000")
    ]


def neighbours(timing: Timing) -> list[list[Cell]]:
    """
    Small commands alone, beside big replies, and beside slow commands; with one lane, and two.

    Redis does one command at a time, so a slow one holds up all others at the server, and no client
    can change that for the same server.
    """
    return [
        [_with_lanes(timing, work, count) for work in ("small", "beside-big", "beside-slow")]
        for count in (1, 2)
    ]


def _with_lanes(timing: Timing, work: str, count: int) -> Cell:
    name = f"{OURS}, {count} lane{'s' if count > 1 else ''}"
    return timing.cell(work, name, "asyncio", options={"lanes": count})


def crowds(runner: Runner, timing: Timing) -> list[Result]:
    """
    The results of one to sixteen processes on the clients' core, which begin together.
    """
    results: list[Result] = []
    for rep, count, client in product(range(timing.reps), PROCESSES, (BASELINE, OURS)):
        cell = timing.cell("get-100", client, "asyncio", processes=count, waits=True)
        found = runner.together([cell] * count)
        results += [msgspec.structs.replace(each, rep=rep) for each in found]
    return results


def growth_lines(results: Iterable[Result]) -> list[Line]:
    """
    One line per cell, medians over its repetitions; processes that work together are one line:
    the sum of their rates, the worst of their latencies.
    """
    cells: dict[bytes, dict[int, list[Result]]] = {}
    for result in results:
        if result.measured:
            key = msgspec.json.encode(result.cell)
            cells.setdefault(key, {}).setdefault(result.rep, []).append(result)
    return [_line(list(reps.values())) for reps in cells.values()]


def _line(reps: Sequence[Sequence[Result]]) -> Line:
    cell = reps[0][0].cell

    def shown(figure: Callable[[Result], Any], over: Callable[[list[Any]], Any]) -> str:
        values = [[figure(one) for one in together] for together in reps]
        known = [over(each) for each in values if None not in each]
        return number(median(known) if known else None)

    return (
        *(cell.work, cell.client, str(cell.processes), str(cell.tasks), str(cell.value_bytes)),
        shown(lambda result: result.rate, sum),
        shown(lambda result: result.cpu_per_command, median),
        shown(lambda result: result.p50, max),
        shown(lambda result: result.p99, max),
        shown(lambda result: result.peak_rss / 1024, sum),
    )
