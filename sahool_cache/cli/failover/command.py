"""
``sahool-cache failover-test``: its options, and the question before it begins.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sahool_cache.cli.answer import Answer, ask, conclude, screen
from sahool_cache.cli.failover import options
from sahool_cache.cli.failover.fault import ENDS, filled, handled
from sahool_cache.cli.failover.readiness import Master, ready_master
from sahool_cache.cli.failover.report import Bounds, report
from sahool_cache.cli.failover.trial import Plan, Say, run_trial
from sahool_cache.cli.options import AsJson, Prefix, Url, Yes, group_settings

__all__ = ["failover_test"]


def failover_test(  # noqa: PLR0913  # one option each
    *,
    url: Url = None,
    stop: options.Stop = "",
    start: options.Start = "",
    max_outage: options.MaxOutage = None,
    max_errors: options.MaxErrors = None,
    max_lost: options.MaxLost = None,
    seconds: options.Seconds = 3.0,
    tasks: options.Tasks = 20,
    rate: options.Rate = 400.0,
    within: options.Within = 180.0,
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
        # Other ends are a Ctrl-C: what was stopped must be started again.
        with handled(ENDS, lambda *_: signal.raise_signal(signal.SIGINT)):
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
def _progress(*, as_json: bool) -> Iterator[Say]:
    console = screen(errors=True)
    if as_json or not console.is_terminal:
        yield lambda _words: None
    else:
        with console.status("") as status:
            yield status.update
