"""
The figures of one trial, computed from its history and from what others saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.audit import Survey
from tests.chaos.history import WRITES, Operation
from tests.chaos.load import is_register
from tests.chaos.staleness import absent, stale_by

__all__ = ["Evidence", "Figures", "measure"]

MAX_REPLICA_LAG = 2.0
"""Seconds behind which a replica must not be read: the default of our client's setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What the figures are computed from; times of the monotonic clock.

    `switched` is the first ``+switch-master`` of any sentinel after the fault, `promoted` when the
    candidate first answered that it is master. `deadline` is what the client promises for one call.
    """

    operations: Sequence[Operation]
    survey: Survey
    began: float
    ended: float
    fault: float | None = None
    switched: float | None = None
    promoted: float | None = None
    deadline: float | None = None
    writers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    One trial in numbers. Durations are in seconds; None is what could not be seen.

    `outage`: the longest gap without an acknowledged write that survived. `reaction`: from the
    first ``+switch-master`` until every writer writes on the new master. `first_write`: from the
    candidate's first answer as master to the first write that survived. `reconnected`: from the
    fault until every writer writes. `denied`: calls that were reported as not run, and had run.
    """

    acknowledged: int
    rate: float
    outage: float
    reaction: float | None
    first_write: float | None
    reconnected: float | None
    errors: int
    repeatable_errors: int
    other_errors: int
    unknown: int
    unknown_per_task: int
    unanswered: int
    longest_call: float
    longest_read: float
    beyond_deadline: float | None
    read_errors: int
    lost: int
    lost_time: float
    duplicates: int
    denied: int
    stale: int
    stalest: float
    absent: int
    by_name: dict[str, int] = field(default_factory=dict)


def measure(evidence: Evidence) -> Figures:
    """
    The figures that this evidence gives.
    """
    operations = evidence.operations
    writes = [each for each in operations if each.kind in WRITES]
    acknowledged = [each for each in writes if each.acknowledged]
    surviving = survivors(acknowledged, evidence.survey)
    lost = lost_writes(writes, evidence.survey)
    rate = calm_rate(acknowledged, evidence)
    failed = [each for each in operations if each.outcome != "ok"]
    unknown = [each for each in failed if each.outcome == "unknown"]
    reads = [each for each in operations if each.kind == "replica_get"]
    delays = stale_by(operations)
    longest = max((each.ended - each.began for each in operations), default=0.0)
    return Figures(
        acknowledged=len(acknowledged),
        rate=rate,
        outage=longest_gap(surviving, evidence.began, evidence.ended),
        reaction=reaction(surviving, evidence),
        first_write=first_after(surviving, evidence.promoted),
        reconnected=all_writing(surviving, evidence.fault, evidence),
        errors=len(failed),
        repeatable_errors=sum(1 for each in failed if each.kind != "incr"),
        other_errors=sum(1 for each in failed if each.kind == "incr"),
        unknown=len(unknown),
        unknown_per_task=max(Counter(each.task for each in unknown).values(), default=0),
        unanswered=sum(1 for each in failed if each.error == "Unanswered"),
        longest_call=longest,
        longest_read=max((each.ended - each.began for each in reads), default=0.0),
        beyond_deadline=None if evidence.deadline is None else longest - evidence.deadline,
        read_errors=sum(1 for each in reads if each.outcome != "ok"),
        lost=len(lost),
        lost_time=len(lost) / rate if rate else 0.0,
        duplicates=duplicates(writes, evidence.survey),
        denied=denied(failed, evidence.survey),
        stale=sum(1 for delay in delays if delay > MAX_REPLICA_LAG),
        stalest=max(delays, default=0.0),
        absent=absent(operations),
        by_name=dict(Counter(f"{each.kind} {each.error}" for each in failed)),
    )


def survivors(acknowledged: Iterable[Operation], survey: Survey) -> list[Operation]:
    """
    The acknowledged writes that are there at the end, in the order of their acknowledgement.

    A write to a register, which was overwritten since, counts when the writes to other keys that
    its task made just before and just after it are there.
    """
    by_task: dict[str, list[Operation]] = {}
    for each in sorted(acknowledged, key=lambda each: each.began):
        by_task.setdefault(each.task, []).append(each)
    found = [
        each
        for writes in by_task.values()
        for n, each in enumerate(writes)
        if _survived(writes, n, survey)
    ]
    return sorted(found, key=lambda each: each.ended)


def _survived(writes: Sequence[Operation], n: int, survey: Survey) -> bool:
    if not is_register(writes[n].key):
        return survey.has(writes[n])
    if survey.values.get(writes[n].key) == writes[n].value:
        return True
    around = (range(n - 1, -1, -1), range(n + 1, len(writes)))
    nearest = [
        next((writes[m] for m in way if not is_register(writes[m].key)), None) for way in around
    ]
    return all(each is not None and survey.has(each) for each in nearest)


def lost_writes(writes: Iterable[Operation], survey: Survey) -> list[Operation]:
    """
    The acknowledged writes that are gone.

    A register has one writer, which waits for each answer: the last acknowledged value, or one that
    was tried after it, has to be there.
    """
    lost, registers = [], dict[str, list[Operation]]()
    for each in writes:
        if is_register(each.key):
            registers.setdefault(each.key, []).append(each)
        elif each.acknowledged and not survey.has(each):
            lost.append(each)
    for key, tried in registers.items():
        tried.sort(key=lambda each: each.began)
        last = max((n for n, each in enumerate(tried) if each.acknowledged), default=None)
        if last is not None and survey.values.get(key) not in {e.value for e in tried[last:]}:
            lost.append(tried[last])
    return lost


def longest_gap(surviving: Sequence[Operation], began: float, ended: float) -> float:
    """
    The longest time between two acknowledgements, or between one and the ends of the load.
    """
    times = [began, *(each.ended for each in surviving), ended]
    return max(after - before for before, after in pairwise(times))


def reaction(surviving: Sequence[Operation], evidence: Evidence) -> float | None:
    """
    From the first ``+switch-master`` until *all* writers write on the new master.

    A writer whose last write before the announcement was already on the new master counts
    with what its next write still took after the announcement, without the pause between the two.
    A writer that never writes again counts until the end of the load.
    """
    if evidence.switched is None or evidence.switched >= evidence.ended:
        return None
    switched, delays = evidence.switched, []
    for task in evidence.writers:
        mine = [each for each in surviving if each.task == task]
        before = max((each.ended for each in mine if each.ended <= switched), default=0.0)
        after = min((e for e in mine if e.ended > switched), key=lambda e: e.ended, default=None)
        there = evidence.promoted is not None and before >= evidence.promoted
        if after is None:
            # It wrote there already, and the load ended before its next write.
            delays.append(
                0.0 if there and evidence.ended - before < 0.2 else evidence.ended - switched
            )
        else:
            delays.append(after.ended - (max(switched, after.began) if there else switched))
    return max(delays, default=None)


def first_after(surviving: Sequence[Operation], moment: float | None) -> float | None:
    """
    From this moment to the first acknowledgement after it of a write that survived.
    """
    if moment is None:
        return None
    return (
        min((each.ended for each in surviving if each.ended > moment), default=float("inf"))
        - moment
    )


def all_writing(
    surviving: Sequence[Operation], moment: float | None, evidence: Evidence
) -> float | None:
    """
    From this moment until every writer has had a write that it began after it.
    """
    if moment is None:
        return None
    firsts = [
        min(
            (e.ended for e in surviving if e.task == task and e.began > moment),
            default=evidence.ended,
        )
        for task in evidence.writers
    ]
    return max(firsts, default=moment) - moment


def calm_rate(acknowledged: Iterable[Operation], evidence: Evidence) -> float:
    """
    Acknowledged writes per second before the fault.
    """
    until = evidence.ended if evidence.fault is None else evidence.fault
    seconds = until - evidence.began
    return sum(1 for each in acknowledged if each.ended <= until) / seconds if seconds > 0 else 0.0


def duplicates(writes: Iterable[Operation], survey: Survey) -> int:
    """
    How many runs there were too many: each INCR has a key of its own, and may run once.
    """
    keys = {each.key for each in writes if each.kind == "incr"}
    return sum(max(0, survey.runs(key) - 1) for key in keys)


def denied(failed: Iterable[Operation], survey: Survey) -> int:
    """
    How many writes are there although the client said that nothing ran.
    """
    return sum(
        1
        for each in failed
        if each.outcome == "failed"
        and each.kind in WRITES
        and not is_register(each.key)
        and survey.has(each)
    )
