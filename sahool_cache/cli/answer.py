"""
What a command found: told to a person, or to a program as one JSON document.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import msgspec
import typer
from redis import exceptions as redis_errors
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.connection.faults import DialFailed, LaneLost

__all__ = ["Answer", "Refused", "ask", "conclude", "mark", "screen", "table"]

PIPED_WIDTH = 200
"""Columns where nobody reads them: what a table holds is not cut for a pipe."""

_MARKS = {
    ExitStatus.OK: Text("✓", style="green"),
    ExitStatus.DEGRADED: Text("!", style="yellow"),
    ExitStatus.DOWN: Text("✗", style="bold red"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The exit status, the JSON document, and what a person reads instead; what `aside` says goes to
    stderr, for `told` may be piped.
    """

    document: Any
    told: RenderableType
    status: ExitStatus = ExitStatus.OK
    aside: str | None = None


class Refused(Exception):
    """
    The command cannot be carried out, and nothing was changed: the text says why.
    """

    def __init__(self, why: str, status: ExitStatus = ExitStatus.USAGE) -> None:
        super().__init__(why)
        self.status = status


def conclude(work: Coroutine[Any, Any, Answer], *, as_json: bool) -> int:
    """
    Runs a command to its end, tells the answer or the error, and returns the exit status.
    """
    try:
        answer = asyncio.run(work)
    except (redis_errors.RedisError, DialFailed, LaneLost, TimeoutError, Refused) as error:
        return _failed(error, as_json=as_json)
    if as_json:
        print(_json(answer.document))
    else:
        screen().print(answer.told)
        if answer.aside is not None:
            print(answer.aside, file=sys.stderr)
    return answer.status


def _failed(error: Exception, *, as_json: bool) -> int:
    # A plain error reply is the server's word on what was asked; anything else means that it could
    # not be asked.
    refused = isinstance(error, redis_errors.ResponseError)
    status = ExitStatus.USAGE if refused else ExitStatus.DOWN
    if isinstance(error, Refused):
        status = error.status
    told = printable(error) or type(error).__name__
    if as_json:
        print(_json({"error": told, "kind": type(error).__name__}))
    else:
        print(f"sahool-cache: {told}", file=sys.stderr)
    return status


def _json(document: Any) -> str:
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    # What does not print stands in strings only, and a terminal may obey it.
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def ask(question: str, *, yes: bool) -> None:
    """
    Asks before something is destroyed, at the terminal; raises `typer.Abort` for a no, and
    `typer.BadParameter` where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody is there to be asked: pass --yes.")
    # An event loop takes Ctrl-C to itself, and does not come to it before the answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with redirect_stdout(sys.stderr):  # Typer writes a blank there all the same
            typer.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


def screen(*, errors: bool = False) -> Console:
    """
    Where people read: coloured at a terminal unless NO_COLOR is set, plain text in a pipe.
    """
    console = Console(stderr=errors, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def table(*columns: str) -> Table:
    """
    A table without lines, one row to a line of text.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=True)
    return made


def mark(status: ExitStatus) -> Text:
    """
    One character for a status.
    """
    return _MARKS[status].copy()
