"""
``sahool-cache explain``: the failovers in a service's log, told step by step.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.incident import Incident, read_incidents

__all__ = ["explain", "story"]

_STEPS = (
    ("fenced", "commands to the old master were held"),
    ("elected", "the sentinels chose a replica"),
    ("promoted", "the client followed the new master"),
    ("first_write", "the new master acknowledged the first write that had waited"),
    ("confirmed", "a config-epoch confirmed it"),
)


def explain(
    *,
    log: Annotated[
        str, typer.Argument(metavar="[LOG]", help="The service's log; - is standard input.")
    ] = "-",
    last: Annotated[bool, typer.Option("--last", help="Only the last failover.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The records, as one JSON document.")
    ] = False,
) -> int:
    """
    Tells what happened in each failover that a service has logged.

    Reads the WARNING lines of the logger sahool_cache.incidents, among whatever
    else the log holds: when the first sign was seen, when commands were held,
    who was chosen and promoted, which calls waited for how long, and of which
    the outcome is not known.
    """
    try:
        text = sys.stdin.read() if log == "-" else Path(log).read_text(errors="replace")
    except OSError as error:
        raise typer.BadParameter(f"{log} cannot be read: {error.strerror}") from None
    incidents = list(read_incidents(text))
    if last:
        incidents = incidents[-1:]
    if as_json:
        print(msgspec.json.encode(incidents).decode())
    elif not incidents:
        print("no failover is recorded in it")
    else:
        print("\n\n".join("\n".join(_told(incident)) for incident in incidents))
    return ExitStatus.OK


def story(incident: Incident) -> Iterator[str]:
    """
    What happened in it, step by step, and which calls felt it.
    """
    yield f"{incident.began:%Y-%m-%d %H:%M:%S} UTC  {incident.summary}"
    yield f"  {0.0:+9.3f} s  the first sign"
    steps = [(getattr(incident, name), words) for name, words in _STEPS]
    for at, words in sorted((at, words) for at, words in steps if at is not None):
        yield f"  {at:+9.3f} s  {words}"
    for waited in incident.waited:
        yield f"  waited: {waited.calls} x {waited.command}, {waited.longest:.3f} s at most"
    commands = Counter((each.command, each.node) for each in incident.unknown)
    for (command, node), calls in sorted(commands.items(), key=str):
        yield f"  outcome unknown: {calls} x {command} at {node or 'an unknown server'}"
    if incident.unknown_calls > len(incident.unknown):
        yield f"  outcome unknown: {incident.unknown_calls - len(incident.unknown)} more"


def _told(incident: Incident) -> Iterator[str]:
    yield from story(incident)
    yield "  before:"
    for step in incident.lanes:
        yield f"  {step.at:+9.3f} s  {step.text}"
    yield "  events:"
    for step in incident.timeline:
        yield f"  {step.at:+9.3f} s  {step.text}"
