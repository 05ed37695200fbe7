"""
The options of ``sahool-cache failover-test``.
"""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "MaxErrors",
    "MaxLost",
    "MaxOutage",
    "Rate",
    "Seconds",
    "Start",
    "Stop",
    "Tasks",
    "Within",
]

Stop = Annotated[
    str,
    typer.Option(
        metavar="COMMAND",
        help="Stop the master with this shell command, in place of SENTINEL FAILOVER. {host} and "
        "{port} are where it is reached from here, {announced_host} and {announced_port} what the "
        "sentinels announce.",
        show_default=False,
    ),
]
Start = Annotated[
    str, typer.Option(metavar="COMMAND", help="Start it again with this one.", show_default=False)
]
MaxOutage = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", min=0, help="Longest pause of writes, and of reads, that passes."
    ),
]
MaxErrors = Annotated[int | None, typer.Option(metavar="N", min=0, help="Failed calls that pass.")]
MaxLost = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="Lost acknowledged writes that pass.")
]
Seconds = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0.5, max=60, help="Steady traffic before and after."),
]
Tasks = Annotated[int, typer.Option(metavar="N", min=5, max=1000, help="Callers at once.")]
Rate = Annotated[
    float, typer.Option(metavar="N", min=10, max=2000, help="Calls per second of all of them.")
]
Within = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=1,
        max=600,
        help="How long a new master, and then a whole group, is waited for.",
    ),
]
