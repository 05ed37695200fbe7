"""
The history of the registers, as the consistency checker judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.chaos.audit import Survey
from tests.chaos.checker import check
from tests.chaos.history import Operation
from tests.chaos.load import is_register

__all__ = ["anomalies"]

BEFORE = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    kind: str
    key: str
    value: str | None
    began: float
    ended: float
    outcome: str
    error: str | None
    reader: str
    replica: bool = False


def anomalies(operations: Iterable[Operation], survey: Survey) -> dict[str, float]:
    """
    How often each kind of anomaly is in the history of the registers, by ``history_<kind>``.

    Reads from replicas are left out: they may be old, and `staleness` says by how much. The last
    reads are those of the survey, after everything else had ended.
    """
    calls = list(_calls(operations))
    keys = {call.key for call in calls}
    final = {key: survey.values.get(key) for key in keys}
    counts = check([*_seeds(keys), *calls], final).counts
    return {f"history_{name}": float(count) for name, count in counts.items()}


def _calls(operations: Iterable[Operation]) -> Iterator[_Call]:
    for each in operations:
        if is_register(each.key) and each.kind in {"set", "get"}:
            yield _Call(
                kind=each.kind,
                key=each.key,
                value=each.value,
                began=each.began,
                ended=each.ended,
                outcome=each.outcome,
                error=each.error,
                reader=each.task,
            )


def _seeds(keys: Iterable[str]) -> Iterator[_Call]:
    for key in keys:
        if key != "heartbeat":
            yield _Call(
                kind="set",
                key=key,
                value="0",
                began=BEFORE,
                ended=BEFORE,
                outcome="ok",
                error=None,
                reader="seed",
            )
