"""
What a failover test tells: its verdict, for people and as one document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.text import Text

from sahool_cache.cli.answer import Answer, mark
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.explain import story
from sahool_cache.cli.failover.trial import Outcome

__all__ = ["Bounds", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    What is allowed; None is any amount.
    """

    max_outage: float | None
    max_errors: int | None
    max_lost: int | None


def report(outcome: Outcome, bounds: Bounds) -> Answer:
    """
    The outcome, measured by the bounds.
    """
    findings = list(_findings(outcome, bounds))
    status = max(status for status, _ in findings)
    lines = [Text.assemble(mark(status), " ", words) for status, words in findings]
    for incident in outcome.incidents:
        lines += [Text(), *(Text(line) for line in story(incident))]
    problems = [words for status, words in findings if status is not ExitStatus.OK]
    document = _document(outcome, bounds) | {"problems": problems}
    return Answer(document=document, told=Group(*lines), status=status)


def _findings(outcome: Outcome, bounds: Bounds) -> Iterator[tuple[ExitStatus, str]]:
    if outcome.new is None or outcome.new_master_after is None:
        yield ExitStatus.DOWN, f"{outcome.old} was not replaced"
    else:
        after = outcome.new_master_after
        yield ExitStatus.OK, f"{outcome.new} replaced {outcome.old} after {after:.2f} s"
    yield _pause("acknowledged write", outcome.write_pause, bounds)
    yield _pause("answered read", outcome.read_pause, bounds)
    failed = sum(outcome.errors.values())
    kinds = ", ".join(f"{number} {name}" for name, number in sorted(outcome.errors.items()))
    said = f"{failed:,} of {outcome.calls:,} calls failed" + (f": {kinds}" if kinds else "")
    yield _bounded(failed, bounds.max_errors, said)
    if outcome.lost is None or outcome.doubled is None:
        yield ExitStatus.DEGRADED, "what was written could not be counted"
    else:
        said = f"{outcome.lost:,} of {outcome.writes:,} acknowledged writes were lost"
        yield _bounded(outcome.lost, bounds.max_lost, said)
        yield _bounded(outcome.doubled, 0, f"{outcome.doubled:,} increments ran twice")
    if outcome.complaint:
        yield ExitStatus.DEGRADED, outcome.complaint
    if outcome.whole_after is None:
        yield ExitStatus.DEGRADED, "the group is not whole again"
    else:
        yield ExitStatus.OK, f"all was well again after {outcome.whole_after:.1f} s"


def _pause(what: str, seconds: float, bounds: Bounds) -> tuple[ExitStatus, str]:
    return _bounded(seconds, bounds.max_outage, f"{seconds:.2f} s at most without an {what}", "s")


def _bounded(value: float, most: float | None, said: str, unit: str = "") -> tuple[ExitStatus, str]:
    if most is None or value <= most:
        return ExitStatus.OK, said
    return ExitStatus.DEGRADED, f"{said}; allowed: {most:g}{unit and ' '}{unit}"


def _document(outcome: Outcome, bounds: Bounds) -> dict[str, Any]:
    return {
        "old": str(outcome.old),
        "new": None if outcome.new is None else str(outcome.new),
        "new_master_seconds": _rounded(outcome.new_master_after),
        "whole_again_seconds": _rounded(outcome.whole_after),
        "longest_pause": {
            "writes": _rounded(outcome.write_pause),
            "reads": _rounded(outcome.read_pause),
        },
        "calls": outcome.calls,
        "errors": outcome.errors,
        "acknowledged_writes": outcome.writes,
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "bounds": asdict(bounds),
        "incidents": [each.as_dict() for each in outcome.incidents],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
