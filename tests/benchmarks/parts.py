"""
The kinds of runs: each measures, writes its part of the results, and says what to print.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from tests.benchmarks import charts, growth, network
from tests.benchmarks.bars import judge
from tests.benchmarks.chart import draw
from tests.benchmarks.clients import AbsentError
from tests.benchmarks.group import started, started_with_tls
from tests.benchmarks.instructions import compared, count_all, missing, record, recorded
from tests.benchmarks.memory import COMMANDS, memory_cell
from tests.benchmarks.model import Cell, Result
from tests.benchmarks.plan import MAIN, Timing, chosen, recipes, table
from tests.benchmarks.report import aligned, progress, show, troubles
from tests.benchmarks.runner import Runner
from tests.benchmarks.store import load, others_of, save

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
    record: bool = False

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
    alone = [group for group in groups if group[0].work in MAIN]
    others = [group for group in groups if group[0].work not in MAIN]
    results: list[Result] = []
    # Replicas would repeat every write on the core that the master has to itself here.
    for some, replicas in ((alone, 0), (others, 2)):
        if some:
            with started(replicas=replicas) as target:
                results += Runner(target, choice.node, told).all(some, choice.timing.reps)
    # A work that is measured again, alone, takes the place of what it was in the table.
    table_now = [*others_of(load(choice.out), "table", choice.works), *results]
    save(choice.out, "table", table_now)
    (choice.out / "ratios.svg").write_text(draw(charts.ratios(table_now)))
    return _judged(results, [cell for group in groups for cell in group])


def play_recipes(choice: Choice) -> tuple[str, int]:
    """
    The recipes of ours, and what others offer or people write.
    """
    groups = choice.some(recipes(choice.timing))
    with started(replicas=0) as target:
        results = Runner(target, choice.node, told).all(groups, choice.timing.reps)
    others = others_of(load(choice.out), "recipes", choice.works)
    save(choice.out, "recipes", [*others, *results])
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


def play_profile(choice: Choice) -> tuple[str, int]:
    """
    The instructions that our commands cost.
    """
    if (why := missing()) is not None:
        return f"Left out: {why}.", 0
    with started() as target:
        counts = count_all(target)
    save(choice.out, "profile", (), counts=[asdict(each) for each in counts])
    if choice.record:
        record(counts)
    return compared(counts, recorded())


def play_growth(choice: Choice) -> tuple[str, int]:
    """
    How cost grows.
    """
    timing = choice.timing
    groups = growth.sizes(timing) + growth.lanes(timing) + growth.neighbours(timing)
    with started(growth.SIZES) as target:
        runner = Runner(target, choice.node, told)
        results = runner.all(choice.some(groups), timing.reps)
        results += growth.crowds(runner, timing)
    save(choice.out, "growth", results)
    lines = aligned([growth.HEAD, *growth.growth_lines(results)])
    return "\n\n".join([lines, *troubles(results)]), 0


def play_network(choice: Choice) -> tuple[str, int]:
    """
    The same works over TLS, and from farther away.
    """
    groups, reps = choice.some(network.cells(choice.timing)), choice.timing.reps
    places: dict[str, list[Result]] = {}
    notes = []
    with started() as target:
        places["loopback"] = Runner(target, choice.node, told).all(groups, reps)
        for seconds in network.DELAYS:
            with network.farther(target, seconds) as far:
                results = Runner(far, choice.node, told).all(groups, reps)
            places[f"proxy, {seconds * 1000:g} ms"] = results
    try:
        with started_with_tls() as target:
            places["TLS"] = Runner(target, choice.node, told).all(groups, reps)
    except AbsentError as error:
        notes.append(f"TLS is left out: {error}.")
    everything = [result for results in places.values() for result in results]
    save(choice.out, "network", (), places=msgspec.to_builtins(places))
    (choice.out / "network.svg").write_text(draw(charts.distances(places)))
    lines = aligned([network.HEAD, *network.network_lines(places)])
    return "\n\n".join([lines, *notes, *troubles(everything)]), 0


def _judged(results: Sequence[Result], cells: Collection[Cell]) -> tuple[str, int]:
    verdicts = judge(results, cells)
    return show(results, verdicts), sum(not verdict.passed for verdict in verdicts)


PARTS: Mapping[str, Part] = {
    "table": play_table,
    "recipes": play_recipes,
    "memory": play_memory,
    "profile": play_profile,
    "growth": play_growth,
    "network": play_network,
}
