"""
Optional rights that an ACL withholds: each costs its feature and one event.
"""

from __future__ import annotations

from typing import Any, Protocol

from sahool_cache.events import Event, RightMissing
from sahool_cache.rights import right_to

__all__ = ["Emit", "Rights"]


class Emit(Protocol):
    """
    Tells the observers.
    """

    def __call__(self, kind: type[Event], **facts: Any) -> None:
        """
        Tells a fact of this moment.
        """
        ...


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
            self._emit(RightMissing, right=right, costs=right_to(right).costs)
