"""
What became of each call of one client: the book from which the verdict is drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["REPEATABLE", "WRITES", "Call", "Figures", "Kind", "Ledger"]

Kind = Literal["sadd", "set", "hincrby", "get"]

WRITES: tuple[Kind, ...] = ("sadd", "set", "hincrby")
REPEATABLE: frozenset[Kind] = frozenset(("sadd", "set", "get"))
"""Those that leave the same behind when they run twice; HINCRBY does not."""

_RECENT = 2.0
_BUCKET = 0.5
_SILENT = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call that has ended: acknowledged, or with the name of the error that reached the caller.
    """

    kind: Kind
    number: int
    began: float
    ended: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    How a client is doing now. Durations are in seconds; percentiles are over the last two.

    `silence` is the time since the last acknowledged write where that is an outage, else None;
    `history` the acknowledged calls per second, one figure for each half second.
    """

    rate: float
    p50: float | None
    p99: float | None
    operations: int
    errors: int
    repeatable_errors: int
    silence: float | None
    longest: float
    history: tuple[float, ...]


class Ledger:
    """
    Every write and every failure; of reads that were answered, their number and recent times.
    """

    __slots__ = (
        "_buckets",
        "_recent",
        "_started",
        "calls",
        "errors",
        "last_read",
        "last_write",
        "last_write_began",
        "longest",
        "longest_read",
        "operations",
        "repeatable_errors",
    )

    def __init__(self, now: float) -> None:
        self.calls: list[Call] = []
        self.operations = 0
        self.errors = 0
        self.repeatable_errors = 0
        self.last_write = now
        self.last_write_began = now
        self.longest = 0.0
        self.last_read = now
        self.longest_read = 0.0
        self._started = now
        self._recent: deque[tuple[float, float]] = deque()
        self._buckets: list[int] = [0]

    def enter(self, call: Call) -> None:
        """
        Books a call that has ended.
        """
        if call.error is not None:
            self.errors += 1
            self.repeatable_errors += call.kind in REPEATABLE
            self.calls.append(call)
            return
        self.operations += 1
        self._recent.append((call.ended, call.ended - call.began))
        self._fill(call.ended)
        self._buckets[-1] += 1
        if call.kind in WRITES:
            self.calls.append(call)
            self.longest = max(self.longest, call.ended - self.last_write)
            self.last_write, self.last_write_began = call.ended, call.began
        else:
            self.longest_read = max(self.longest_read, call.ended - self.last_read)
            self.last_read = call.ended

    def pauses(self, now: float) -> tuple[float, float]:
        """
        The longest times until now without an acknowledged write, and without an answered read.
        """
        return (
            max(self.longest, now - self.last_write),
            max(self.longest_read, now - self.last_read),
        )

    def figures(self, now: float) -> Figures:
        """
        The figures at this moment.
        """
        while self._recent and self._recent[0][0] < now - _RECENT:
            self._recent.popleft()
        self._fill(now)
        times = sorted(took for _, took in self._recent)
        silence = now - self.last_write
        return Figures(
            rate=sum(1 for ended, _ in self._recent if ended > now - 1.0),
            p50=_percentile(times, 0.50),
            p99=_percentile(times, 0.99),
            operations=self.operations,
            errors=self.errors,
            repeatable_errors=self.repeatable_errors,
            silence=silence if silence > _SILENT else None,
            longest=max(self.longest, silence),
            history=tuple(count / _BUCKET for count in self._buckets[:-1]),
        )

    def _fill(self, now: float) -> None:
        missing = int((now - self._started) / _BUCKET) + 1 - len(self._buckets)
        self._buckets.extend([0] * missing)


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None
