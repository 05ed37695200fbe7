"""
What every call did: when it began, when it ended, and what is known of its outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["WRITES", "History", "Kind", "Operation", "Outcome"]

Kind = Literal["sadd", "set", "incr", "get", "replica_get"]
Outcome = Literal["ok", "failed", "unknown"]

WRITES: frozenset[Kind] = frozenset({"sadd", "set", "incr"})
UNANSWERED = "Unanswered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One call. Times are of the monotonic clock, in seconds.

    `value` is what was written; for a get what was read, None for a key that is absent; for an
    INCR the number it replied. ``failed`` means that nothing ran; after ``unknown`` it may have
    run, at any time from `began` on. `error` is the name of the exception's class.
    """

    kind: Kind
    key: str
    value: str | None
    task: str
    began: float
    ended: float
    outcome: Outcome
    error: str | None = None

    @property
    def acknowledged(self) -> bool:
        """
        Whether this is a write that the client said was done.
        """
        return self.outcome == "ok" and self.kind in WRITES


@dataclass(slots=True)
class _Begun:
    kind: Kind
    key: str
    value: str | None
    task: str
    began: float


@dataclass(slots=True)
class History:
    """
    The operations in the order in which they ended; those that have not ended yet apart.
    """

    clock: Callable[[], float] = time.monotonic
    operations: list[Operation] = field(default_factory=list)
    _running: dict[int, _Begun] = field(default_factory=dict)
    _next: int = 0

    def begin(self, kind: Kind, key: str, value: str | None, task: str) -> int:
        """
        The number of a call that begins now.
        """
        self._next += 1
        self._running[self._next] = _Begun(kind, key, value, task, self.clock())
        return self._next

    def end(
        self, number: int, outcome: Outcome, *, value: str | None = None, error: str | None = None
    ) -> None:
        """
        Records that this call ends now; `value` is what a read or an INCR replied.
        """
        begun = self._running.pop(number, None)
        if begun is None:  # given up as unanswered before
            return
        self.operations.append(
            Operation(
                kind=begun.kind,
                key=begun.key,
                value=begun.value if begun.kind in {"sadd", "set"} else value,
                task=begun.task,
                began=begun.began,
                ended=self.clock(),
                outcome=outcome,
                error=error,
            )
        )

    def give_up(self) -> int:
        """
        Records the calls that never ended as unknown, and says how many there were.
        """
        numbers = list(self._running)
        for number in numbers:
            self.end(number, "unknown", error=UNANSWERED)
        return len(numbers)

    @property
    def running(self) -> int:
        """
        How many calls have begun and not ended.
        """
        return len(self._running)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)
