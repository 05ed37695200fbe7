"""
``sahool-cache watch``: its options, and what its end means to the shell.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from sahool_cache.cli.answer import Answer, conclude
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.health import STATUS
from sahool_cache.cli.options import AsJson, Url, group_settings
from sahool_cache.cli.terminal import LiveScreen, can_draw
from sahool_cache.cli.watch.course import Course, Entry
from sahool_cache.cli.watch.moment import Moment
from sahool_cache.cli.watch.observation import observe
from sahool_cache.cli.watch.picture import MINIMUM_SIZE, picture
from sahool_cache.routing.topology import Topology

__all__ = ["watch"]

ANSWER_WITHIN = 1.0


def watch(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0.1, max=86_400, help="End after that time.", show_default=False
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="A line to each event; so it is anyway when piped.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """
    Shows the group live: who is who, how they do, and what happens.

    Goes on through every outage until Ctrl-C, or for --seconds; the exit
    status is then that of health. --json writes its one document at the end,
    and so needs --seconds.
    """
    if as_json and seconds is None:
        raise typer.BadParameter("--json writes one document at the end: say when, with --seconds")
    if as_json and plain:
        raise typer.BadParameter("--plain and --json exclude one another")
    settings = group_settings(url, command_timeout=ANSWER_WITHIN)
    console = Console(highlight=False)
    live = not (plain or as_json) and can_draw(console, MINIMUM_SIZE)

    async def look() -> Answer:
        display = _display(console, live=live, silent=as_json)
        course = Course(asyncio.get_running_loop().time, display.note)
        try:
            with display if isinstance(display, LiveScreen) else contextlib.nullcontext():
                found, topology = await observe(settings, display, course, seconds=seconds)
        finally:  # the screen took its events with it
            for incident in course.incidents if live else ():
                print(incident.summary)
        return Answer(
            document={
                "status": found["status"],
                **course.as_data(),
                "topology": _topology(topology),
                "checks": found["checks"],
            },
            told=Text(_closing(course, found)),
            status=STATUS[found["status"]],
        )

    return conclude(look(), as_json=as_json)


def _display(console: Console, *, live: bool, silent: bool) -> LiveScreen[Moment] | Lines:
    if live:
        return LiveScreen(console, picture, opening="looking for the group ...")
    return Lines(silent=silent)


class Lines:
    """
    A line to each event; nothing at all where the answer is a document.
    """

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    def note(self, note: Entry) -> None:
        """
        Prints the line.
        """
        if not self._silent:
            print(note.line, flush=True)

    def show(self, frame: Moment) -> None:
        """
        Does nothing.
        """


def _topology(found: Topology) -> dict[str, Any]:
    return {
        "master": None if found.master is None else str(found.master),
        "replicas": list(map(str, found.replicas)),
        "in_rotation": list(map(str, found.in_rotation)),
        "sentinels": list(map(str, found.sentinels)),
        "epoch": found.epoch,
        "provisional": found.provisional,
    }


def _closing(course: Course, found: dict[str, Any]) -> str:
    failovers = len(course.incidents)
    why = "" if course.why is None else f": {printable(course.why)}"
    return (
        f"watched for {course.elapsed:.0f} s: {course.happened} events, "
        f"{failovers} failover{'' if failovers == 1 else 's'}; now {found['status']}{why}"
    )
