"""
One moment as it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sahool_cache.cli.escapes import printable
from sahool_cache.cli.units import count, span
from sahool_cache.cli.watch.course import Entry, Tone
from sahool_cache.cli.watch.moment import Moment, Row

__all__ = ["MINIMUM_SIZE", "picture"]

MINIMUM_SIZE = (72, 16)
"""Columns and lines below which lines of text are the better form."""

_TONES: Mapping[Tone, str] = {"trouble": "red", "good": "green", "news": ""}
_COLUMNS = ("", "server", "role", "lag", "rtt", "cmd/s", "in flight", "breaker")
_HEAD_LINES = 3
_FRAME = 2


def picture(now: Moment, *, width: int, height: int) -> RenderableType:
    """
    For a terminal of this size; the head alone where it has become too small.
    """
    head = _head(now)
    columns, lines = MINIMUM_SIZE
    if width < columns or height < lines:
        return head
    servers = min(len(now.rows) + 1 + _FRAME, height // 2)
    whole = Layout()
    whole.split_column(
        Layout(head, size=_HEAD_LINES),
        Layout(_framed(_servers(now.rows), "servers"), size=servers),
        Layout(_framed(_log(now.entries, height - _HEAD_LINES - servers - _FRAME), "events")),
    )
    return whole


def _framed(content: RenderableType, title: str) -> Panel:
    title_text = Text(title, style="bold")
    return Panel(
        content, title=title_text, title_align="left", border_style="bright_black", box=box.ROUNDED
    )


def _head(now: Moment) -> Group:
    unsure = ", to be confirmed" if now.provisional else ""
    failovers = f"{now.failovers} failover{'' if now.failovers == 1 else 's'} seen"
    title = Text.assemble(
        (printable(now.name), "bold"),
        f"  epoch {now.epoch}{unsure}, {failovers}, watched for {span(now.elapsed)}",
    )
    if now.usable:
        state = Text("commands flow", style="green")
    elif now.held is not None:
        state = Text(f"commands are held: {printable(now.held)}", style="bold yellow")
    else:
        why = f": {printable(now.why)}" if now.why else ""
        state = Text(f"the master cannot be used{why}", style="bold red")
    answering, known = now.sentinels
    well = answering == known and answering >= now.quorum
    sentinels = Text(
        f"{answering} of {known} sentinels answer, the quorum is {now.quorum}",
        style="green" if well else "yellow",
    )
    if now.waiting:
        state.append(f", {now.waiting:,} calls wait")
    lines = (title, state, sentinels)
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _servers(rows: Sequence[Row]) -> RenderableType:
    if not rows:
        return Text("none is known", style="red")
    made = Table(box=None, padding=(0, 1, 0, 0), header_style="bright_black", expand=True)
    for column in _COLUMNS:
        made.add_column(column, no_wrap=True)
    for row in rows:
        sign, role, style = _role(row)
        breaker = row.breaker.replace("_", "-")
        made.add_row(
            Text(sign, style=style),
            Text(str(row.address)),
            Text(role, style=style),
            "-" if row.lag is None else f"{row.lag:.1f} s",
            "-" if row.rtt is None else f"{row.rtt * 1000:.1f} ms",
            "-" if row.rate is None else count(row.rate),
            str(row.in_flight),
            Text(breaker, style="" if breaker == "closed" else "bold red"),
        )
    return made


def _role(row: Row) -> tuple[str, str, str]:
    if row.is_master:
        return ("★", "master", "bold green") if row.connected else ("✗", "master", "bold red")
    if not row.connected:
        return "✗", "down", "bold red"
    return ("●", "replica", "green") if row.in_rotation else ("○", "not read", "yellow")


def _log(entries: Sequence[Entry], lines: int) -> Group:
    shown = entries[-max(1, lines) :]
    return Group(
        *(
            Text(each.line, style=_TONES[each.tone], no_wrap=True, overflow="ellipsis")
            for each in shown
        )
    )
