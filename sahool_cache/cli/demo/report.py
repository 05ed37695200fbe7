"""
What the demo prints line by line, and the verdict at its end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sahool_cache.cli.demo.screen import TONES
from sahool_cache.cli.demo.stage import Frame, Note
from sahool_cache.cli.demo.verdict import Cost, FaultKind, Verdict
from sahool_cache.cli.demo.words import milliseconds, seconds
from sahool_cache.cli.traffic.ledger import Figures

__all__ = ["Plain", "Silent", "closing", "document", "plain_table", "print_verdict"]

FAULTS: dict[FaultKind, str] = {"kill": "killed", "hang": "hanging"}
ROWS = {
    "outage_ms": "outage",
    "errors": "errors",
    "repeatable_errors": "  of repeatable calls",
    "lost": "writes lost",
    "duplicates": "run twice",
}
HARMLESS = ("outage_ms", "errors")

_EVERY = 2.0


class Silent:
    """
    Shows nothing: for ``--json``.
    """

    def note(self, note: Note) -> None:
        """
        Does nothing.
        """

    def show(self, frame: Frame) -> None:
        """
        Does nothing.
        """


class Plain:
    """
    One line for each note, and one for each client every two seconds.
    """

    def __init__(self) -> None:
        self._next = _EVERY

    def note(self, note: Note) -> None:
        """
        Prints what happened.
        """
        mark = "!" if note.tone == "fault" else " "
        print(f"{note.at:5.1f} s {mark} {note.text}", flush=True)

    def show(self, frame: Frame) -> None:
        """
        Prints how the clients are doing, when that is due.
        """
        if frame.elapsed < self._next:
            return
        self._next = frame.elapsed - frame.elapsed % _EVERY + _EVERY
        for title, figures in frame.contenders:
            print(f"{frame.elapsed:5.1f} s   {title:<11}  {_state(figures)}", flush=True)


def document(verdict: Verdict) -> str:
    """
    The one JSON document.
    """
    return json.dumps(verdict.as_data(), indent=2)


def closing(verdict: Verdict) -> str:
    """
    The sentence that says what was shown.
    """
    ours = verdict.ours
    if not verdict.passed:
        return f"FAIL: with RedisClient, {'; '.join(verdict.problems)}."
    longest = max(cost.outage_ms for cost in ours.faults) / 1000
    told = sum(cost.errors for cost in ours.faults)
    unknown = (
        f"{_count(told, 'call')} that must not be repeated ended with an error"
        if told
        else "no call ended with an error"
    )
    return (
        f"PASS: of {ours.operations:,} calls through RedisClient, no acknowledged write was lost "
        f"and no repeatable call failed; {unknown}, and the longest outage took {longest:.2f} s."
    )


def _history(notes: Sequence[Note]) -> Table:
    """
    All notes, for the terminal.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bright_black")
    table.add_column()
    for note in notes:
        table.add_row(f"{note.at:.1f} s", Text(note.text, style=TONES[note.tone]))
    return table


def _rich_table(verdict: Verdict) -> Group:
    """
    The verdict as a table, for the terminal.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    table.add_column("while the master is", no_wrap=True)
    for _, heading, title, _ in _columns(verdict):
        table.add_column(Text(f"{heading}\n{title}"), justify="right")
    for name, label in ROWS.items():
        cells = [_cell(cost, name, ours=ours) for ours, _, _, cost in _columns(verdict)]
        table.add_row(label, *cells)
    calls = ", ".join(f"{title} {operations:,}" for title, operations in _results(verdict))
    return Group(table, Text(f"calls that succeeded: {calls}\n", style="bright_black"))


def plain_table(verdict: Verdict) -> str:
    """
    The verdict as a table of plain text.
    """
    if not verdict.ours.faults:
        return closing(verdict)
    columns = list(_columns(verdict))
    lines = [
        ["while the master is", *(heading for _, heading, _, _ in columns)],
        ["", *(title for _, _, title, _ in columns)],
    ]
    for name, label in ROWS.items():
        lines.append([label, *(_value(cost, name) for *_, cost in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    calls = ", ".join(f"{title} {operations:,}" for title, operations in _results(verdict))
    return "\n".join(["", *table, "", f"calls that succeeded: {calls}", closing(verdict)])


def print_verdict(console: Console, verdict: Verdict, notes: Sequence[Note]) -> None:
    """
    What stays in the terminal after the live picture: what happened, and the verdict.
    """
    console.print(_history(notes))
    if verdict.ours.faults:
        console.print(_rich_table(verdict))
    word, _, rest = closing(verdict).partition(":")
    style = "bold green" if verdict.passed else "bold red"
    console.print(Text.assemble((word, style), f":{rest}"))


def _columns(verdict: Verdict) -> list[tuple[bool, str, str, Cost]]:
    columns = []
    for number, cost in enumerate(verdict.ours.faults):
        columns.append((True, FAULTS[cost.kind], "RedisClient", cost))
        if verdict.redis_py is not None:
            columns.append((False, FAULTS[cost.kind], "redis-py", verdict.redis_py.faults[number]))
    return columns


def _results(verdict: Verdict) -> list[tuple[str, int]]:
    results = [("RedisClient", verdict.ours.operations)]
    if verdict.redis_py is not None:
        results.append(("redis-py", verdict.redis_py.operations))
    return results


def _value(cost: Cost, name: str) -> str:
    value = int(getattr(cost, name))
    return seconds(value / 1000) if name == "outage_ms" else f"{value:,}"


def _cell(cost: Cost, name: str, *, ours: bool) -> Text:
    value = getattr(cost, name)
    bad = value > 0 and name not in HARMLESS
    style = "bold red" if bad else "green" if ours and not value else ""
    return Text(_value(cost, name), style=style)


def _state(figures: Figures) -> str:
    silence = f", outage for {seconds(figures.silence)}" if figures.silence is not None else ""
    return (
        f"{figures.rate:4.0f} calls/s, p50 {milliseconds(figures.p50)}, "
        f"p99 {milliseconds(figures.p99)}, {_count(figures.errors, 'error')}{silence}"
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
