"""
Whether a history of concurrent calls on registers is linearizable, and what is wrong with it.

A key is a register that is absent at first and that nobody deletes; every value is written to
it once. A call A is *before* a call B when A ended before B began; calls that touch or overlap
are concurrent. A write is *acknowledged* when its outcome is ``ok``. One of outcome ``unknown``
may take effect at any time after it began, or never, so it never ends; it counts only if its
value was read. A ``failed`` one has no effect. Reads count when their outcome is ``ok``.

A value is *older* than another when its write is before the other's; absence is older than all.

- **dirty**: a read of a value that was never written, whose write failed, or whose write began
  only after the read had ended.
- **absent**: a read of None, before which an acknowledged write is.
- **stale**: a read of a value, before which an acknowledged write of a newer one is.
- **non_monotonic**: a read after which its reader has gone back in time: an earlier read of the
  same reader gave a newer value, or gave this one before it gave another.
- **lost**: an acknowledged write, after which a read gives an older value or None, and nothing
  speaks for its survival: no read that ends after that one began gives the written value, or one
  that is not older and whose write had begun by then. A history alone cannot tell a late replica
  from a loss when the next write hides which it was: that counts as lost, unless the read has a
  true attribute `replica`. Such reads neither prove a loss nor disprove one.
- **contradictions**: values of which some other value must be both newer and not newer, whoever
  read them: their calls cannot be put into one order.

The history of a key is linearizable when nothing is dirty and nothing contradicts. Reads of one
value and its write stand together in any order that explains them, so one value as a whole comes
before another, and has to when any of its calls is before any of the other's. With `first_end`
the earliest end among a value's calls and `last_begin` the latest beginning, u has to come before
v when ``first_end(u) < last_begin(v)``. A cycle of such demands always contains two values with
demands both ways, which are quickly found: Gibbons and Korach's test of zones ("Testing shared
memories", 1997), for unique values. All of it takes O(n log n).

A write that ran twice shows as its value coming back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any, Protocol

from tests.chaos.extremes import Latest, keep

__all__ = ["ANOMALIES", "Call", "Findings", "Report", "check"]

ANOMALIES = ("lost", "stale", "absent", "non_monotonic", "dirty", "contradictions")
EVER, NEVER = float("-inf"), float("inf")


class Call(Protocol):
    """
    One call. May have a `reader`, whose reads are compared with one another (all calls without
    one are the same reader's), and a true `replica` when the master did not answer.
    """

    kind: str
    key: str
    value: str | None
    began: float
    ended: float
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """
    What was found on one key: how often each anomaly, and the values concerned.
    """

    lost: tuple[str | None, ...] = ()
    stale: tuple[str | None, ...] = ()
    absent: tuple[str | None, ...] = ()
    non_monotonic: tuple[str | None, ...] = ()
    dirty: tuple[str | None, ...] = ()
    contradictions: tuple[str | None, ...] = ()

    @property
    def linearizable(self) -> bool:
        return not (self.dirty or self.contradictions)

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ANOMALIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The findings by key, and their sums.
    """

    keys: Mapping[str, Findings]

    @property
    def linearizable(self) -> bool:
        return all(each.linearizable for each in self.keys.values())

    @property
    def counts(self) -> dict[str, int]:
        return {
            name: sum(each.counts[name] for each in self.keys.values()) for name in ANOMALIES
        }  # fmt: skip

    @property
    def clean(self) -> bool:
        return self.linearizable and not any(self.counts.values())


def check(history: Iterable[Call], final: Mapping[str, str | None] | None = None) -> Report:
    """
    The report on a history. `final` are reads of the master after everything else had ended.

    Raises `ValueError` for a history that is none: two writes of one value, a call that ends
    before it begins, an unknown kind or outcome.
    """
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in history:
        _refuse_nonsense(call)
        calls[call.key].append(call)
    final = final or {}
    for key in final:
        calls.setdefault(key, [])
    return Report(
        keys={
            key: _Register(of_key, [final[key]] if key in final else []).findings()
            for key, of_key in sorted(calls.items())
        }
    )


def _refuse_nonsense(call: Call) -> None:
    if call.kind not in {"set", "get"} or call.outcome not in {"ok", "failed", "unknown"}:
        raise ValueError(f"no such call: {call.kind} {call.outcome}")
    if not call.began <= call.ended:
        raise ValueError(f"a {call.kind} of {call.key!r} ended before it began")
    if call.kind == "set" and call.value is None:
        raise ValueError(f"a write of nothing to {call.key!r}")


@dataclass(slots=True)
class _Value:
    """
    A value as written, and the reads that gave it.
    """

    text: str | None
    began: float
    ended: float
    acknowledged: bool = False
    reads: list[_Read] = field(default_factory=list)

    @property
    def first_end(self) -> float:
        return min([self.ended, *(read.ended for read in self.reads)])

    @property
    def last_begin(self) -> float:
        return max([self.began, *(read.began for read in self.reads)])

    @property
    def last_seen(self) -> float:
        return max((read.ended for read in self.reads if not read.replica), default=EVER)


@dataclass(slots=True, frozen=True)
class _Read:
    value: str | None
    began: float
    ended: float
    reader: Any
    replica: bool = False


class _Register:
    """
    The history of one key.
    """

    def __init__(self, calls: Sequence[Call], final: Sequence[str | None]) -> None:
        self.values: dict[str | None, _Value] = {None: _Value(None, EVER, EVER)}
        failed = set()
        for call in calls:
            if call.kind != "set":
                continue
            if call.value in self.values or call.value in failed:
                raise ValueError(f"{call.value!r} is written to {call.key!r} twice")
            if call.outcome == "failed":
                failed.add(call.value)
                continue
            ok = call.outcome == "ok"
            ended = call.ended if ok else NEVER
            self.values[call.value] = _Value(call.value, call.began, ended, ok)
        reads = [_read(each) for each in calls if (each.kind, each.outcome) == ("get", "ok")]
        reads += [_Read(value, NEVER, NEVER, "the end") for value in final]
        self.dirty = [read for read in reads if self._is_dirty(read)]
        self.reads = [read for read in reads if not self._is_dirty(read)]
        for read in self.reads:
            self.values[read.value].reads.append(read)
        acknowledged = sorted((v for v in self.values.values() if v.acknowledged), key=_end)
        self.acknowledged = acknowledged
        self._ends = [value.ended for value in acknowledged]
        self._newest = list(accumulate((value.began for value in acknowledged), max))

    def _is_dirty(self, read: _Read) -> bool:
        value = self.values.get(read.value)
        return value is None or read.ended < value.began

    def findings(self) -> Findings:
        behind = [read for read in self.reads if self._is_behind(read)]
        return Findings(
            lost=tuple(value.text for value in self._lost()),
            stale=tuple(read.value for read in behind if read.value is not None),
            absent=tuple(read.value for read in behind if read.value is None),
            non_monotonic=tuple(self._backward()),
            dirty=tuple(read.value for read in self.dirty),
            contradictions=tuple(self._contradictions()),
        )

    def _is_behind(self, read: _Read) -> bool:
        """
        Whether a newer value had been acknowledged before the read.
        """
        before = bisect_left(self._ends, read.began)
        return before > 0 and self._newest[before - 1] > self.values[read.value].ended

    def _backward(self) -> Iterable[str | None]:
        by_reader: dict[Any, list[_Read]] = defaultdict(list)
        for read in self.reads:
            by_reader[read.reader].append(read)
        for reads in by_reader.values():
            earlier = sorted(reads, key=_end)
            first_seen: dict[str | None, float] = {}
            for read in earlier:
                first_seen.setdefault(read.value, read.ended)
            newest, seen, place = EVER, Latest(), 0
            for read in sorted(reads, key=_begin):
                while earlier[place].ended < read.began:
                    before = earlier[place]
                    newest = max(newest, self.values[before.value].began)
                    seen = seen.add(before.value, before.began)
                    place += 1
                older = self.values[read.value].ended < newest
                if older or first_seen[read.value] < seen.but(read.value):
                    yield read.value

    def _lost(self) -> Iterable[_Value]:
        """
        What was acknowledged before a read, and began after all that this read can have come
        from, is gone.
        """
        reads = sorted((read for read in self.reads if not read.replica), key=_end)
        bounds = sorted(zip((read.began for read in reads), self._bounds(reads), strict=True))
        begins = [began for began, _ in bounds]
        lowest = list(accumulate((bound for _, bound in reversed(bounds)), min))[::-1]
        for value in self.acknowledged:
            after = bisect_right(begins, value.ended)
            if after < len(lowest) and value.began > lowest[after]:
                yield value

    def _bounds(self, reads: Sequence[_Read]) -> Iterable[float]:
        """
        For each read, in the order of their ends: when the latest value ended that had begun by
        then, and that this or a later read gives.
        """
        values = sorted((value for value in self.values.values() if value.reads), key=_begin)
        seen: list[tuple[float, float]] = []  # when last seen, and when written: both worth keeping
        place = 0
        for read in reads:
            while place < len(values) and values[place].began <= read.ended:
                keep(seen, values[place].last_seen, values[place].ended)
                place += 1
            yield seen[bisect_left(seen, (read.began, EVER))][1]

    def _contradictions(self) -> Iterable[str | None]:
        known = [each for each in self.values.values() if each.acknowledged or each.reads]
        zones = sorted(
            ((each.first_end, each.last_begin, each.text) for each in known), key=itemgetter(0)
        )
        ends = [first_end for first_end, _, _ in zones]
        latest = list(
            accumulate(zones, lambda last, zone: last.add(zone[2], zone[1]), initial=Latest())
        )
        for first_end, last_begin, text in zones:
            if latest[bisect_left(ends, last_begin)].but(text) > first_end:
                yield text


def _read(call: Call) -> _Read:
    reader, replica = getattr(call, "reader", None), bool(getattr(call, "replica", False))
    return _Read(call.value, call.began, call.ended, reader, replica)


def _begin(timed: _Value | _Read) -> float:
    return timed.began


def _end(timed: _Value | _Read) -> float:
    return timed.ended
