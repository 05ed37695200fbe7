"""
How often the sentinels are asked: seldom while all is well, often while in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

__all__ = ["Pace"]

FIRST, CAP = 0.1, 0.5
FIRST_TOLD, CAP_TOLD = 0.4, 1.0
DOUBT_LASTS, WATCHFUL = 2.0, 1.0


class Pace:
    """
    The seconds between two rounds. Doubt passes by itself, or when it is cleared by `trust()`.
    """

    def __init__(self, *, every: float, now: Callable[[], float], random: Random) -> None:
        self._every = every
        self._now = now
        self._random = random
        self._doubt_until = float("-inf")
        self._rounds = 0

    @property
    def doubtful(self) -> bool:
        """
        Whether the master gave cause for doubt a moment ago.
        """
        return self._now() < self._doubt_until

    def doubt(self) -> bool:
        """
        Notes cause for doubt; True where there was none before.
        """
        fresh = not self.doubtful
        if fresh:
            self._rounds = 0
        self._doubt_until = self._now() + DOUBT_LASTS
        return fresh

    def trust(self) -> None:
        """
        Ends the doubt.
        """
        self._doubt_until = float("-inf")

    def interval(self, *, urgent: bool, watchful: bool, told: bool = False) -> float:
        """
        The seconds until the next round, varied by a fifth so that clients spread out. Who is
        `told` of everything by every sentinel need not ask so often.
        """
        if urgent or self.doubtful:
            first, cap = (FIRST_TOLD, CAP_TOLD) if told else (FIRST, CAP)
            seconds = min(cap, first * 2.0 ** min(self._rounds, 8))
            self._rounds += 1
        else:
            self._rounds = 0
            seconds = min(WATCHFUL, self._every) if watchful else self._every
        return seconds * self._random.uniform(0.8, 1.2)
