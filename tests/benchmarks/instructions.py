"""
How many instructions a command costs, counted by valgrind: that shows also on a busy machine.

Only the work itself is counted: the cell says when it is warm and when it is done, and valgrind is
told then to begin and to end. Tasks go in step and hashes are not randomised, so a count comes out
within 0.3 % again, on a machine that is busy with other things. What is left to chance is how often
background tasks have their turn meanwhile, as under valgrind everything takes fifty times longer;
that only ever adds to a count.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.benchmarks.model import BASELINE, OURS, READY, Cell, Result, Target
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
_VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null")
_WITHIN = 300.0

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
    absent = [program for program in ("valgrind", "vgdb") if shutil.which(program) is None]
    return f"{' and '.join(absent)} is not installed" if absent else None


def count_all(target: Target) -> list[Count]:
    """
    A count for each client and work that is profiled, the reference first.
    """
    return [_count(client, work, commands, target) for client, work, commands in _PROFILED]


def _count(client: str, work: str, commands: int, target: Target) -> Count:
    cell = Cell(
        work=work,
        client=client,
        tasks=WORKS[work].tasks,
        commands=commands,
        options=variant_options(client),
        waits=True,
        profiled=True,
    )
    try:
        total = _instructions(cell, target)
    except _NothingCountedError as error:
        return Count(client=client, work=work, instructions=None, trouble=str(error))
    return Count(client=client, work=work, instructions=total / commands)


class _NothingCountedError(Exception):
    pass


def _instructions(cell: Cell, target: Target) -> int:
    with subprocess.Popen(
        (*_VALGRIND, *python_command(cell, target)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        text=True,
    ) as process:
        guard = threading.Timer(_WITHIN, process.kill)
        guard.start()
        try:
            for switch in ("on", "off"):
                _wait_for(process)
                _switch(process, switch)
            _, told = process.communicate()
        finally:
            guard.cancel()
            process.kill()
    counted = _COUNTED.search(told)
    if counted is None:
        raise _NothingCountedError("valgrind has counted nothing")
    return int(counted[1])


def _wait_for(process: subprocess.Popen[str]) -> None:
    line = process.stdout.readline() if process.stdout else ""
    if line.strip() == READY:
        return
    try:
        result = msgspec.json.decode(line, type=Result)
    except msgspec.DecodeError:
        raise _NothingCountedError("the client fell over under valgrind") from None
    raise _NothingCountedError(result.trouble or result.absent or "the client had nothing to do")


def _switch(process: subprocess.Popen[str], switch: str) -> None:
    command = ("vgdb", f"--pid={process.pid}", "instrumentation", switch)
    subprocess.run(command, capture_output=True, check=True, timeout=_WITHIN)
    if process.stdin is not None:
        process.stdin.write("go\n")
        process.stdin.flush()


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


def _grown(count: Count, parts: Mapping[str, float], before: Mapping[str, float]) -> bool:
    held, part = before.get(count.name), parts.get(count.name)
    return held is not None and (part is None or part > held * MARGIN)


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
