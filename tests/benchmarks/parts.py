"""
The kinds of runs: each measures, writes its part of the results, and says what to print.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.bars import judge
from tests.benchmarks.chart import draw
from tests.benchmarks.charts import ratios
from tests.benchmarks.group import started
from tests.benchmarks.memory import COMMANDS, memory_cell
from tests.benchmarks.model import Cell, Result
from tests.benchmarks.plan import Timing, chosen, table
from tests.benchmarks.report import progress, show
from tests.benchmarks.runner import Runner
from tests.benchmarks.store import save

__all__ = ["PARTS", "Choice", "Part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    What to measure, for how long, and where it goes.
    """

    timing: Timing
    out: Path
    works: Collection[str] = ()
    clients: Collection[str] = ()
    loops: Collection[str] = ()
    commands: int = COMMANDS

    @property
    def node(self) -> Path:
        """
        The folder that has ioredis.
        """
        return self.out / "node"

    def some(self, groups: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
        """
        What is left of these.
        """
        return chosen(groups, works=self.works, clients=self.clients, loops=self.loops)


Part = Callable[[Choice], tuple[str, int]]
"""Gives the text to print, and how many bars were missed."""


def told(result: Result) -> None:
    """
    Says how far it is.
    """
    print(progress(result), file=sys.stderr, flush=True)  # noqa: T201


def play_table(choice: Choice) -> tuple[str, int]:
    """
    Ours and its peers, work by work.
    """
    groups = choice.some(table(choice.timing))
    with started() as target:
        results = Runner(target, choice.node, told).all(groups, choice.timing.reps)
    save(choice.out, "table", results)
    (choice.out / "ratios.svg").write_text(draw(ratios(results)))
    return _judged(results, [cell for group in groups for cell in group])


def play_memory(choice: Choice) -> tuple[str, int]:
    """
    The memory of ours over millions of commands.
    """
    with started() as target:
        cells = [memory_cell(choice.commands)]
        results = Runner(target, choice.node, told).together(cells)
    save(choice.out, "memory", results)
    rounds = ", ".join(f"{each / 1024:.1f}" for each in results[0].rss_by_round)
    text, missed = _judged(results, cells)
    return f"MB after each tenth of the commands: {rounds}\n\n{text}", missed


def _judged(results: Sequence[Result], cells: Collection[Cell]) -> tuple[str, int]:
    verdicts = judge(results, cells)
    return show(results, verdicts), sum(not verdict.passed for verdict in verdicts)


PARTS: Mapping[str, Part] = {
    "table": play_table,
    "memory": play_memory,
}
