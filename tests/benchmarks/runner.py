"""
Runs cells, each in a process of its own on the client's core.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.benchmarks.model import READY, Cell, Result, Target
from tests.benchmarks.processes import CLIENT, pinned

__all__ = ["ROOT", "Runner", "interleaved", "python_command"]

ROOT = Path(__file__).resolve().parents[2]
_NODE_SCRIPT = Path(__file__).with_name("ioredis.mjs")
_STARTS_WITHIN = 60.0
_SLOWEST = 2_000.0
"""Commands per second that even a slow client makes; says when a cell with a number hangs."""

Item = TypeVar("Item")


def interleaved(groups: Sequence[Sequence[Cell]], reps: int) -> Iterator[tuple[int, Cell]]:
    """
    Every cell once per repetition. What is compared stands together, in another order each time, so
    that a machine which grows slower or quicker does so to all.
    """
    for rep in range(reps):
        for group in _rotated(groups, rep * max(1, len(groups) // max(1, reps))):
            yield from ((rep, cell) for cell in _rotated(group, rep))


def _rotated(items: Sequence[Item], by: int) -> list[Item]:
    by %= len(items) or 1
    return [*items[by:], *items[:by]]


class Runner:
    """
    Plays cells against one target. `node` is the folder with ioredis; `told` hears each result.
    """

    def __init__(
        self, target: Target, node: Path, told: Callable[[Result], None] = lambda _: None
    ) -> None:
        self.target = target
        self._node = node
        self._told = told

    def all(self, groups: Sequence[Sequence[Cell]], reps: int) -> list[Result]:
        """
        The results of all cells, interleaved.
        """
        results = []
        for rep, cell in interleaved(groups, reps):
            (result,) = self.together([cell])
            results.append(msgspec.structs.replace(result, rep=rep))
            self._told(results[-1])
        return results

    def together(self, cells: Sequence[Cell]) -> list[Result]:
        """
        The results of cells that work at the same time; those that wait begin together.
        """
        absent = [self._missing(cell) for cell in cells]
        if any(absent):
            return [Result(cell=c, absent=a) for c, a in zip(cells, absent, strict=True)]
        with pinned(CLIENT):
            processes = [_start(self._command(cell)) for cell in cells]
        try:
            said = _begin_together(cells, processes)
            return [_end(*each) for each in zip(cells, processes, said, strict=True)]
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def _missing(self, cell: Cell) -> str | None:
        if cell.loop != "node":
            return None
        if shutil.which("node") is None:
            return "node is not installed"
        if not (self._node / "node_modules" / "ioredis").is_dir():
            return f"no ioredis in {self._node}"
        return None

    def _command(self, cell: Cell) -> list[str]:
        if cell.loop != "node":
            return python_command(cell, self.target)
        node = str(shutil.which("node"))
        return [node, str(_NODE_SCRIPT), *_described(cell, self.target), str(self._node.resolve())]


def python_command(cell: Cell, target: Target) -> list[str]:
    """
    The command line of a cell with a Python client.
    """
    return [sys.executable, "-m", "tests.benchmarks.cell", *_described(cell, target)]


def _described(cell: Cell, target: Target) -> Iterable[str]:
    return (msgspec.json.encode(each).decode() for each in (cell, target))


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


def _begin_together(cells: Sequence[Cell], processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """
    What each has said so far: nothing, unless it failed where it should have waited.
    """
    said = [_line(each) if cell.waits else "" for cell, each in zip(cells, processes, strict=True)]
    for process, line in zip(processes, said, strict=True):
        if line.strip() == READY and process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    return ["" if line.strip() == READY else line for line in said]


def _line(process: subprocess.Popen[str]) -> str:
    return "" if process.stdout is None else process.stdout.readline()


def _end(cell: Cell, process: subprocess.Popen[str], said: str) -> Result:
    within = _STARTS_WITHIN + cell.warm_up + cell.seconds + (cell.commands or 0) / _SLOWEST
    try:
        out, errors = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        return Result(cell=cell, trouble=f"not over after {within:.0f} s")
    if process.returncode:
        return Result(cell=cell, trouble=" ".join(errors.split())[-400:] or "failed")
    try:
        return msgspec.json.decode((said + out).splitlines()[-1], type=Result)
    except (IndexError, msgspec.DecodeError) as error:
        return Result(cell=cell, trouble=f"said nothing that can be read: {error}")
