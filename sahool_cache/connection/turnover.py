"""
The lanes of a server that are old, and those that are on their way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf
from random import Random

from sahool_cache.connection.lane import Lane

__all__ = ["Turnover", "lifetime"]

DRAINED = 0.02
"""Seconds between two looks at whether a lane that was replaced still owes replies."""

LOOKS = 20
"""How often within `max_age` idle exclusive connections are looked at, too."""


def lifetime(max_age: float | None, random: Random) -> float:
    """
    Seconds that a connection may live: 80 to 95 % of `max_age`, so that the clients of a server do
    not come back all at once, and the rest is for connecting and for what is in flight.
    """
    return inf if max_age is None else max_age * random.uniform(0.8, 0.95)


class Turnover:
    """
    Says which lane is to be replaced, and cuts it when its last reply has come. Until then it is
    one of those that are `leaving`: nothing new is submitted to it.
    """

    def __init__(self, max_age: float | None, random: Random) -> None:
        self.leaving: list[Lane] = []
        self._max_age = max_age
        self._random = random
        self._ends: dict[Lane, float] = {}

    def opened(self, lane: Lane) -> None:
        """
        Takes note of a new lane.
        """
        if self._max_age is not None:
            self._ends[lane] = lane.opened_at + lifetime(self._max_age, self._random)

    def lost(self, lane: Lane) -> bool:
        """
        Forgets a lane that has ended; whether it was leaving.
        """
        self._ends.pop(lane, None)
        left = lane in self.leaving
        if left:
            self.leaving.remove(lane)
        return left

    def due(self, lanes: Sequence[Lane]) -> Lane | None:
        """
        The first of these lanes that is old enough to be replaced.
        """
        now = asyncio.get_running_loop().time()
        return next((lane for lane in lanes if self._ends.get(lane, inf) <= now), None)

    def leave(self, lane: Lane) -> None:
        """
        Lets a lane go once it owes no reply.
        """
        self.leaving.append(lane)

    def cut_drained(self) -> None:
        """
        Cuts the lanes whose last reply has come.
        """
        for lane in tuple(self.leaving):
            if not lane.in_flight:
                lane.abort("replaced by a new connection")

    def pause(self, lanes: Sequence[Lane]) -> float | None:
        """
        Seconds until there is something to do; None for never.
        """
        if self.leaving:
            return DRAINED
        if self._max_age is None:
            return None
        now = asyncio.get_running_loop().time()
        ends = [self._ends.get(lane, inf) - now for lane in lanes]
        return max(0.0, min([*ends, self._max_age / LOOKS]))
