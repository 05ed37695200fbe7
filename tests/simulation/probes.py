"""
Counts, for each breaker, the calls that it lets through while half-open.
"""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from weakref import WeakKeyDictionary

import pytest

from sahool_cache.policy.breaker import NodeBreaker

__all__ = ["Probes"]


class Probes:
    """
    Watches every breaker that is made inside the ``with`` block.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._held: WeakKeyDictionary[NodeBreaker, Counter[int]] = WeakKeyDictionary()
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        admit, release = NodeBreaker.admit, NodeBreaker.release

        def counted_admit(breaker: NodeBreaker) -> int:
            period = admit(breaker)
            if period:
                held = self._held.setdefault(breaker, Counter())
                held[period] += 1
                if held[period] > breaker._probes:
                    self.problems.append(f"{held[period]} calls probe {breaker._node} at once")
            return period

        def counted_release(breaker: NodeBreaker, period: int) -> None:
            release(breaker, period)
            self._held[breaker][period] -= 1

        self._patch.setattr(NodeBreaker, "admit", counted_admit)
        self._patch.setattr(NodeBreaker, "release", counted_release)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._patch.undo()
