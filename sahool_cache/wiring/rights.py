"""
Optional rights that an ACL may withhold: each costs its feature and one event.
"""

from __future__ import annotations

from typing import Any, Protocol

from sahool_cache.events import Event, RightMissing

__all__ = ["Rights"]

_COSTS = {
    "INFO": "replicas are read without knowing their lag",
    "ROLE": "replicas are read without their own word on the replication link",
    "CLIENT TRACKING": "the near cache keeps nothing",
    "PTTL": "the near cache keeps nothing, not knowing for how long",
    "SUBSCRIBE on a sentinel": "failovers are noticed by polling only",
}


class Emit(Protocol):
    """
    Tells the observers.
    """

    def __call__(self, kind: type[Event], **facts: Any) -> None: ...


class Rights:
    """
    Remembers what is missing, so that it is told once.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._missing: set[str] = set()

    def missing(self, right: str) -> None:
        """
        Notes a right that was refused.
        """
        if right not in self._missing:
            self._missing.add(right)
            self._emit(RightMissing, right=right, costs=_COSTS[right])
