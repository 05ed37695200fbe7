"""
The live picture in a terminal of at least 80 columns and 24 lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sahool_cache.cli.demo.stage import Condition, Frame, NodeState, Note, Tone
from sahool_cache.cli.demo.words import errors, milliseconds, seconds
from sahool_cache.cli.traffic.ledger import Figures

__all__ = ["MINIMUM_SIZE", "picture", "sparkline"]

MINIMUM_SIZE = (78, 20)
"""Columns and lines below which the plain form is the better one."""

TONES: dict[Tone, str] = {"fault": "bold red", "repair": "green", "news": ""}
CONDITIONS: dict[Condition, tuple[str, str]] = {
    "killed": ("✖ killed", "bold red"),
    "hung": ("■ hangs", "bold red"),
    "returning": ("↻ returning", "yellow"),
}
BREAKERS = {"closed": "green", "half-open": "yellow", "open": "bold red"}
LEVELS = " ▁▂▃▄▅▆▇█"

_HEAD_LINES, _CLIENT_LINES, _GROUP_COLUMNS = 2, 8, 33
_BESIDE_TREND = 22
"""Columns of a client's panel that are left of its trend, or its frame."""


def picture(frame: Frame, *, width: int, height: int) -> Layout:
    """
    One frame as rich draws it, for a terminal of this size.
    """
    columns = width // max(len(frame.contenders), 1) - _BESIDE_TREND
    whole, upper, lower = Layout(), Layout(name="upper"), Layout(name="lower", size=_CLIENT_LINES)
    whole.split_column(Layout(_head(frame), name="head", size=_HEAD_LINES), upper, lower)
    lines = max(1, height - _HEAD_LINES - _CLIENT_LINES - 2)
    upper.split_row(
        Layout(_framed(_group(frame), "group"), size=_GROUP_COLUMNS),
        Layout(_framed(_notes(frame.notes, lines), "what happened")),
    )
    lower.split_row(
        *(
            Layout(_framed(_client(figures, columns, frame if ours else None), title, lit=ours))
            for ours, (title, figures) in zip((True, False), frame.contenders, strict=False)
        )
    )
    return whole


def sparkline(values: Sequence[float], width: int) -> str:
    """
    The newest `width` values as a line of bars; the highest of them fills its cell.
    """
    shown = values[-width:]
    top = max(shown, default=0.0) or 1.0
    steps = len(LEVELS) - 1
    # A value above nothing shows, however low.
    bars = (LEVELS[max(round(value / top * steps), value > 0)] for value in shown)
    return "".join(bars).rjust(width)


def _framed(content: RenderableType, title: str, *, lit: bool = False) -> Panel:
    return Panel(
        content,
        title=Text(title, style="bold cyan" if lit else "bold"),
        title_align="left",
        border_style="cyan" if lit else "bright_black",
        box=box.ROUNDED,
    )


def _head(frame: Frame) -> Group:
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    done = min(frame.elapsed / frame.seconds, 1.0)
    bar = ProgressBar(total=1.0, completed=done, width=24, complete_style="cyan")
    right = Table.grid(padding=(0, 1))
    right.add_row(bar, f"{frame.elapsed:4.1f} s of about {frame.seconds:.0f} s ")
    line.add_row(Text(" sahool-cache demo", style="bold"), right)
    now = Text(f" {frame.headline}", style="italic", no_wrap=True, overflow="ellipsis")
    return Group(line, now)


def _group(frame: Frame) -> Group:
    nodes = Table.grid(padding=(0, 1), expand=True)
    for node in frame.nodes:
        nodes.add_row(*_node(node, provisional=frame.provisional))
    answering, known = frame.sentinels
    facts = Table.grid(padding=(0, 2))
    style = "green" if answering == known else "yellow"
    facts.add_row("sentinels", Text(f"{answering} of {known} answer", style=style))
    facts.add_row("epoch", f"{frame.epoch}{' (to be confirmed)' if frame.provisional else ''}")
    return Group(nodes, Text(), facts)


def _node(node: NodeState, *, provisional: bool) -> tuple[Text, Text]:
    if node.condition is not None:
        words, style = CONDITIONS[node.condition]
    elif node.role == "master":
        words, style = "★ master", "bold yellow" if provisional else "bold green"
    elif node.in_rotation:
        words, style = "● replica", "green"
    else:
        words, style = "○ not read", "yellow"
    return Text(str(node.address), no_wrap=True), Text(words, style=style, no_wrap=True)


def _notes(notes: Sequence[Note], lines: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", style="bright_black", width=7, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for note in notes[-lines:]:
        table.add_row(f"{note.at:.1f} s", Text(note.text, style=TONES[note.tone]))
    return table


def _client(figures: Figures, columns: int, ours: Frame | None) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=7)
    table.add_column(no_wrap=True, overflow="ellipsis")
    trend = Text(sparkline(figures.history, columns), style="cyan" if ours else "bright_black")
    table.add_row("calls", Text.assemble((f"{figures.rate:>5,.0f}/s  ", "bold"), trend))
    table.add_row("p50", f"{milliseconds(figures.p50):>10}")
    table.add_row("p99", f"{milliseconds(figures.p99):>10}")
    table.add_row("errors", Text(errors(figures), style="yellow" if figures.errors else "green"))
    table.add_row("outage", _outage(figures))
    if ours is None:
        table.add_row("breaker", Text("has none", style="bright_black"))
    else:
        breaker = Text(ours.breaker, style=BREAKERS.get(ours.breaker, ""))
        waiting = f", {ours.waiting} calls in line" if ours.waiting else ""
        table.add_row("breaker", breaker.append(waiting, style="default"))
    return table


def _outage(figures: Figures) -> Text:
    if figures.silence is not None:
        return Text(f"for {seconds(figures.silence)} now", style="bold red")
    return Text.assemble(("none now", "green"), f", longest {seconds(figures.longest)}")
