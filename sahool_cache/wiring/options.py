"""
How one call is made.
"""

from __future__ import annotations

from dataclasses import dataclass

from sahool_cache.policy.deadline import Deadline
from sahool_cache.policy.retry import Repeat
from sahool_cache.routing.router import ReadFrom
from sahool_cache.settings import Durability
from sahool_cache.wiring.causality import Causality

__all__ = ["CallOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """
    How one call is made: seconds in all, from whom reads may come, what may be repeated, whether
    replies are decoded otherwise than the client does, and how many replicas confirm a write.

    `until` is the end of a scope that the call is part of, `causality` what it has written.
    """

    timeout: float
    read_from: ReadFrom
    retry: Repeat = "safe"
    flipped: bool = False
    durability: Durability = 0
    until: Deadline | None = None
    causality: Causality | None = None

    @property
    def bound(self) -> bool:
        """
        Whether it is part of a scope whose reads must see a write.
        """
        return self.causality is not None and self.causality.seen is not None

    @property
    def scanned(self) -> ReadFrom:
        """
        From whom a scan's pages come: one server's, and in a scope that has written the master's.
        """
        return "master" if self.bound else self.read_from

    def deadline(self, *, waits: float | None = None, since: float | None = None) -> Deadline:
        """
        The budget of a call that may wait at the server for `waits` seconds, 0 without end.
        """
        if waits == 0:
            deadline = Deadline(float("inf"))
        else:
            deadline = Deadline(self.timeout + (waits or 0.0), since=since)
        if self.until is not None:
            deadline.at = min(deadline.at, self.until.at)
        return deadline
