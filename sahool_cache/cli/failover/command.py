"""
``sahool-cache failover-test``: its options, and the question before it begins.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from sahool_cache.cli.answer import Answer, ask, conclude, screen
from sahool_cache.cli.failover.fault import filled
from sahool_cache.cli.failover.readiness import Master, ready_master
from sahool_cache.cli.failover.report import Bounds, report
from sahool_cache.cli.failover.trial import MINIMUM_TASKS, Plan, Say, run_trial
from sahool_cache.cli.options import AsJson, Prefix, Url, Yes, group_settings

__all__ = ["failover_test"]


def failover_test(  # noqa: PLR0913  # one option each
    *,
    url: Url = None,
    stop: Annotated[
        str,
        typer.Option(
            metavar="COMMAND",
            help="Stop the master with this shell command, in place of SENTINEL FAILOVER. {host} "
            "and {port} are where it is reached from here, {announced_host} and {announced_port} "
            "what the sentinels announce.",
            show_default=False,
        ),
    ] = "",
    start: Annotated[
        str,
        typer.Option(metavar="COMMAND", help="Start it again with this one.", show_default=False),
    ] = "",
    max_outage: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Longest pause of writes, and of reads, that passes."
        ),
    ] = None,
    max_errors: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Failed calls that pass.")
    ] = None,
    max_lost: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Lost acknowledged writes that pass.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.5, max=60, help="Steady traffic before and after."),
    ] = 3.0,
    tasks: Annotated[
        int, typer.Option(metavar="N", min=MINIMUM_TASKS, max=1000, help="Callers at once.")
    ] = 20,
    rate: Annotated[
        float, typer.Option(metavar="N", min=10, max=2000, help="Calls per second of all of them.")
    ] = 400.0,
    within: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=600,
            help="How long a new master, and then a whole group, is waited for.",
        ),
    ] = 180.0,
    prefix: Prefix = "sahool-cache",
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """
    Causes a failover and measures what a client sees of it.

    The sentinels are told to promote a replica, or the master is stopped with
    --stop and started again with --start. Reads and writes go through
    RedisClient all the time; at the end every write is looked up. Nothing is
    done to a group that is not well. The exit status is 1 above a bound, or if
    the group is not whole again, 2 if no new master came.
    """
    if bool(stop) != bool(start):
        raise typer.BadParameter("--stop and --start go together")
    settings = group_settings(url)
    bounds = Bounds(max_outage=max_outage, max_errors=max_errors, max_lost=max_lost)
    plan = Plan(
        stop=stop,
        start=start,
        seconds=seconds,
        within=within,
        tasks=tasks,
        rate=rate,
        prefix=prefix,
    )

    async def test() -> Answer:
        with _ended_by_sigterm():
            master = await ready_master(settings)
            ask(_question(master, plan), yes=yes)
            with _progress(as_json=as_json) as say:
                outcome = await run_trial(settings, master, plan, say)
        return report(outcome, bounds)

    return conclude(test(), as_json=as_json)


def _question(master: Master, plan: Plan) -> str:
    if not plan.stop:
        return (
            f"This takes the role of master of {master.name} from {master.address} "
            "(SENTINEL FAILOVER). Go on?"
        )
    stop, start = filled(plan.stop, master), filled(plan.start, master)
    return (
        f"This stops {master.address}, the master of {master.name}, with\n    {stop}\n"
        f"and starts it again with\n    {start}\nGo on?"
    )


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """
    SIGTERM is a Ctrl-C: what was stopped must be started again.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Say]:
    console = screen(errors=True)
    if as_json or not console.is_terminal:
        yield lambda _words: None
    else:
        with console.status("") as status:
            yield status.update
