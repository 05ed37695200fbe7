"""
What each fault cost each client, and whether ours kept its word. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from sahool_cache.cli.traffic.evidence import Evidence
from sahool_cache.cli.traffic.ledger import REPEATABLE, WRITES, Call, Ledger

__all__ = ["Cost", "Fault", "FaultKind", "Result", "Verdict", "costs", "longest_gap"]

FaultKind = Literal["kill", "hang"]

BEFORE = 1.0
"""
A fault is charged with what began in the second before it, too: replication is asynchronous, so
the writes that a crash loses were acknowledged before it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    Something done to the master at a moment: ``kill`` (SIGKILL) or ``hang`` (SIGSTOP).
    """

    kind: FaultKind
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    What one fault cost one client.

    `outage_ms` is the longest time without an acknowledged write that survived; `errors` are all
    that reached the application, `repeatable_errors` those of calls that may run twice; `lost` are
    acknowledged writes that the master does not hold at the end, `duplicates` increments that ran
    twice.
    """

    kind: FaultKind
    outage_ms: int
    errors: int
    repeatable_errors: int
    lost: int
    duplicates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One client's costs, fault by fault, and the number of its calls that succeeded.
    """

    faults: tuple[Cost, ...] = ()
    operations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    Both clients' results; without a comparison that of redis-py is None.
    """

    ours: Result
    redis_py: Result | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """
        What speaks against ours; nothing means that it has passed.
        """
        costs = self.ours.faults
        found = []
        if [cost.kind for cost in costs] != ["kill", "hang"]:
            found.append("the demo did not come to its end")
        for name, words in _FORBIDDEN.items():
            if total := sum(getattr(cost, name) for cost in costs):
                found.append(f"{words}: {total}")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """
        Whether ours lost no acknowledged write, failed no repeatable call and ran none twice.
        """
        return not self.problems

    def as_data(self) -> dict[str, Any]:
        """
        The document that ``--json`` writes.
        """
        return {
            "ours": asdict(self.ours),
            "redis_py": None if self.redis_py is None else asdict(self.redis_py),
            "verdict": "pass" if self.passed else "fail",
        }


_FORBIDDEN = {
    "lost": "acknowledged writes lost",
    "repeatable_errors": "repeatable calls failed",
    "duplicates": "calls run twice",
}


def costs(
    ledger: Ledger, evidence: Evidence, faults: Sequence[Fault], *, end: float
) -> tuple[Cost, ...]:
    """
    Charges every call to the last fault that had struck, or was about to, when it began.

    `end` is when the traffic stopped. The first fault is charged with all that came before it.
    """
    survived = sorted(
        call.ended for call in ledger.calls if _is_acknowledged(call) and _holds(evidence, call)
    )
    bounds = [fault.at - BEFORE for fault in faults] + [end]
    found = []
    for number, (fault, (since, until)) in enumerate(zip(faults, pairwise(bounds), strict=True)):
        first = float("-inf") if number == 0 else since
        last = float("inf") if number == len(faults) - 1 else until
        charged = [call for call in ledger.calls if first <= call.began < last]
        gap = longest_gap(survived, since=since, until=until)
        found.append(_cost(fault.kind, gap, charged, evidence))
    return tuple(found)


def longest_gap(moments: Iterable[float], *, since: float, until: float) -> float:
    """
    The longest time between neighbours of these sorted moments, within the given limits.
    """
    within = [moment for moment in moments if since < moment < until]
    return max(later - earlier for earlier, later in pairwise([since, *within, until]))


def _cost(kind: FaultKind, gap: float, calls: Sequence[Call], evidence: Evidence) -> Cost:
    failed = [call for call in calls if call.error is not None]
    return Cost(
        kind=kind,
        outage_ms=round(gap * 1000),
        errors=len(failed),
        repeatable_errors=sum(call.kind in REPEATABLE for call in failed),
        lost=sum(_is_acknowledged(call) and not _holds(evidence, call) for call in calls),
        duplicates=sum(
            call.kind == "hincrby" and call.number in evidence.doubled for call in calls
        ),
    )


def _is_acknowledged(call: Call) -> bool:
    return call.error is None and call.kind in WRITES


def _holds(evidence: Evidence, call: Call) -> bool:
    return (call.kind, call.number) in evidence.present


def _is_doubled(evidence: Evidence, call: Call) -> bool:
    return call.kind == "hincrby" and call.number in evidence.doubled
