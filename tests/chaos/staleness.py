"""
What the replica readers got: values that were older than they may be, and keys that were not there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from tests.chaos.history import Operation

__all__ = ["absent", "stale_by"]


def absent(operations: Iterable[Operation]) -> int:
    """
    How many reads found nothing under a key that exists from the start to the end.
    """
    return sum(
        1
        for each in operations
        if each.kind == "replica_get" and each.outcome == "ok" and each.value is None
    )


def stale_by(operations: Sequence[Operation]) -> list[float]:
    """
    For each read of a register through a replica, the seconds by which it was out of date.

    That is how long before the read began the oldest write was acknowledged that it did not show.
    Writes that were lost later count: whoever had the acknowledgement could not know.
    """
    written: dict[str, list[Operation]] = {}
    for each in operations:
        if each.kind == "set" and each.key.startswith("register:"):
            written.setdefault(each.key, []).append(each)
    for writes in written.values():
        writes.sort(key=lambda each: each.began)
    return [
        _behind(each, written[each.key])
        for each in operations
        if each.kind == "replica_get" and each.outcome == "ok" and each.key in written
    ]


def _behind(read: Operation, writes: Sequence[Operation]) -> float:
    # The value that the register had before the first write is none of the writes.
    shown = next((n for n, each in enumerate(writes) if each.value == read.value), -1)
    newer = writes[shown + 1 : bisect_left(writes, read.began, key=lambda each: each.began)]
    missed = (e.ended for e in newer if e.acknowledged and e.ended < read.began)
    return max(0.0, read.began - min(missed, default=read.began))
