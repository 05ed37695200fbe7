"""
The latest moments of many, kept so that a question costs one look.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

__all__ = ["Latest", "keep"]


@dataclass(slots=True, frozen=True)
class Latest:
    """
    The latest of some moments, and the latest of those that are another value's.
    """

    value: str | None = None
    moment: float = float("-inf")
    other: float = float("-inf")

    def add(self, value: str | None, moment: float) -> Latest:
        """
        The latest of these moments and of one more.
        """
        if value == self.value:
            return Latest(value, max(moment, self.moment), self.other)
        if moment > self.moment:
            return Latest(value, moment, self.moment)
        return Latest(self.value, self.moment, max(moment, self.other))

    def but(self, value: str | None) -> float:
        """
        The latest moment that is not that value's.
        """
        return self.other if value == self.value else self.moment


def keep(seen: list[tuple[float, float]], last_seen: float, ended: float) -> None:
    """
    Adds a pair unless another one is later in both; drops those that it outdoes.
    """
    place = bisect_left(seen, (last_seen, float("-inf")))
    if place < len(seen) and seen[place][1] >= ended:
        return
    if place < len(seen) and seen[place][0] == last_seen:
        del seen[place]
    while place and seen[place - 1][1] <= ended:
        place -= 1
        del seen[place]
    seen.insert(place, (last_seen, ended))
