"""
How many instructions a command costs, counted by valgrind: that shows also on a busy machine.

Each count is the difference of two runs, one with twice as many commands, so what happens once
cancels out. Hashes are not randomised. The server runs outside of valgrind, fifty times quicker
than the client, so two things still depend on time: how many tasks share a write, which is why they
go in step here, and how often background tasks have their turn while a reply is on its way. Both
only ever add to a count, so one that seems to have grown is taken again, and the lower one counts.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.benchmarks.model import BASELINE, OURS, Cell, Result, Target
from tests.benchmarks.plan import NEAR, variant_options
from tests.benchmarks.report import Line, aligned, number
from tests.benchmarks.runner import ROOT, python_command
from tests.benchmarks.works import WORKS

__all__ = [
    "MARGIN",
    "RECORD",
    "Count",
    "compared",
    "count_all",
    "count_lines",
    "missing",
    "record",
    "recorded",
]

RECORD = Path(__file__).with_name("instructions.json")
MARGIN = 1.10
"""How many times what is recorded a count may be."""

_COUNTED = re.compile(r"Collected : (\d+)")
_AT_ONCE = 2
_WITHIN = 600.0

_REFERENCE = (BASELINE, "get-100", 2_000)
_PROFILED: tuple[tuple[str, str, int], ...] = (
    _REFERENCE,
    (OURS, "get-1", 2_000),
    (OURS, "get-100", 10_000),
    (OURS, "set-100", 10_000),
    (OURS, "pipeline-1000", 10_000),
    (NEAR, "hot-key", 20_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """
    Instructions per command, or why there are none.
    """

    client: str
    work: str
    instructions: float | None
    trouble: str | None = None

    @property
    def name(self) -> str:
        """
        Under which it is recorded.
        """
        return f"{self.client}: {self.work}"


def missing() -> str | None:
    """
    Why nothing can be counted here.
    """
    return None if shutil.which("valgrind") else "valgrind is not installed"


def count_all(target: Target, before: Mapping[str, float]) -> list[Count]:
    """
    A count for each client and work that is profiled, the reference first; `before` says what they
    were.
    """
    counts = _count(target, _PROFILED)
    grown = {count.name for count in counts if _grown(count, relative(counts), before)}
    again = _count(target, [each for each in _PROFILED if f"{each[0]}: {each[1]}" in grown])
    lower = {count.name: count for count in again if count.instructions is not None}
    return [_lower(count, lower.get(count.name, count)) for count in counts]


def _lower(one: Count, other: Count) -> Count:
    return min(one, other, key=lambda count: count.instructions or math.inf)


def _grown(count: Count, parts: Mapping[str, float], before: Mapping[str, float]) -> bool:
    held, part = before.get(count.name), parts.get(count.name)
    return held is not None and (part is None or part > held * MARGIN)


def _count(target: Target, profiled: Iterable[tuple[str, str, int]]) -> list[Count]:
    runs = [
        Cell(
            work=work,
            client=client,
            tasks=WORKS[work].tasks,
            commands=commands * times,
            warm_up=0.0,
            in_step=True,
            options=variant_options(client),
        )
        for client, work, commands in profiled
        for times in (1, 2)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        counted = list(pool.map(lambda cell: _instructions(cell, target), runs))
    return [_difference(cell, *counted[at : at + 2]) for at, cell in enumerate(runs) if at % 2 == 0]


def _difference(cell: Cell, once: int | str, twice: int | str) -> Count:
    if isinstance(once, str) or isinstance(twice, str):
        why = once if isinstance(once, str) else str(twice)
        return Count(client=cell.client, work=cell.work, instructions=None, trouble=why)
    each = (twice - once) / (cell.commands or 1)
    return Count(client=cell.client, work=cell.work, instructions=each)


def _instructions(cell: Cell, target: Target) -> int | str:
    command = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    try:
        done = subprocess.run(
            (*command, *python_command(cell, target)),
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        result = msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)
    except (subprocess.TimeoutExpired, IndexError, msgspec.DecodeError) as error:
        return f"{type(error).__name__} under valgrind"
    counted = _COUNTED.search(done.stderr)
    if not result.measured or counted is None:
        return result.trouble or result.absent or "valgrind has counted nothing"
    return int(counted[1])


def relative(counts: Iterable[Count]) -> dict[str, float]:
    """
    Each count of ours as a part of the reference's, which stands for Python's and redis-py's own
    changes; nothing if there is no reference.
    """
    by_name = {count.name: count.instructions for count in counts}
    reference = by_name.pop(f"{_REFERENCE[0]}: {_REFERENCE[1]}", None)
    if not reference:
        return {}
    return {name: each / reference for name, each in by_name.items() if each is not None}


def recorded() -> dict[str, float]:
    """
    What is recorded for this version of Python.
    """
    return _everything().get(_python(), {})


def record(counts: Iterable[Count]) -> None:
    """
    Records these for this version of Python.
    """
    found = {name: round(each, 4) for name, each in relative(counts).items()}
    RECORD.write_text(json.dumps(_everything() | {_python(): found}, indent=1) + "\n")


def _everything() -> dict[str, dict[str, float]]:
    if not RECORD.exists():
        return {}
    found: dict[str, dict[str, float]] = json.loads(RECORD.read_text())
    return found


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def count_lines(counts: Iterable[Count], before: Mapping[str, float]) -> list[Line]:
    """
    The table, its head first.
    """
    listed = list(counts)
    parts = relative(listed)
    lines: list[Line] = [("client", "work", "instructions", "of the reference", "recorded", "")]
    for count in listed:
        figures = (count.instructions, parts.get(count.name), before.get(count.name))
        told = count.trouble or ("GROWN" if _grown(count, parts, before) else "")
        lines.append((count.client, count.work, *map(number, figures), told))
    return lines


def compared(counts: Sequence[Count], before: Mapping[str, float]) -> tuple[str, int]:
    """
    The table, and how many counts have grown beyond the margin or are not there any more.
    """
    parts = relative(counts)
    missed = sum(_grown(count, parts, before) for count in counts)
    text = aligned(count_lines(counts, before))
    if not before:
        text += f"\n\nNothing is recorded for Python {_python()}: --record does so."
    return text, missed
