"""
``python -m tests.soak --seconds 120``: exit status 0 when no figure rises, 1 when one does.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.soak.sample import Sample
from tests.soak.slope import CHANCE
from tests.soak.soak import Outcome, Plan, soak


def table(outcome: Outcome) -> str:
    """
    One line per figure.
    """
    lines = [
        f"{'figure':12} {'first':>10} {'last':>10} {'% / window':>11} {'bound':>6} {'chance':>7}"
    ]
    for trend in outcome.trends:
        mark = "  RISES" if trend.rises else ""
        lines.append(
            f"{trend.name:12} {trend.values[0]:10.1f} {trend.values[-1]:10.1f} "
            f"{trend.percent:11.3f} {trend.bound:6.2f} {trend.chance:7.3f}{mark}"
        )
    rounds = ", ".join(f"{count} {name}" for name, count in sorted(outcome.rounds.items()))
    errors = ", ".join(f"{count} {name}" for name, count in outcome.errors.items()) or "none"
    lines += [
        f"a figure fails above its bound with a chance below {CHANCE}",
        f"{outcome.failovers} failovers; rounds: {rounds}; errors: {errors}",
    ]
    return "\n".join(lines)


def progress(number: int, sample: Sample) -> None:
    """
    One line per window.
    """
    print(  # noqa: T201
        f"window {number:3}: {sample.rss / 1024:7.1f} MiB, {sample.objects:.0f} objects, "
        f"{sample.descriptors:.0f} descriptors, {sample.tasks:.0f} tasks, "
        f"{sample.calls} calls, p99 {sample.p99:.2f} ms, "
        f"{sample.relative_p99:.0f} % of a new client's",
        flush=True,
    )


def main() -> int:
    """
    Soaks, prints the table, and returns the exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--window", type=float, default=4.0, help="seconds")
    parser.add_argument("--failover-every", type=float, default=20.0, help="seconds")
    options = parser.parse_args()
    try:
        plan = Plan(**vars(options))
    except ValueError as error:
        parser.error(str(error))
    outcome = asyncio.run(soak(plan, told=progress))
    print(table(outcome))  # noqa: T201
    return 1 if outcome.rising else 0


if __name__ == "__main__":
    sys.exit(main())
