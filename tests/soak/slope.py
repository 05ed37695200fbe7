"""
Whether figures rise from window to window, or only vary.

The slope is Theil and Sen's: the median of the slopes between any two windows, in percent of the
median figure per window; a failover in some of them does not move it. A rise is *significant*
when Mann and Kendall's test, with ties counted, gives less than one chance in a thousand that
figures without a trend rank like this. A figure fails when its rise is significant and its slope
is above its bound: tiny rises are significant, too, in figures that hardly vary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

__all__ = ["CHANCE", "FEWEST", "Trend", "chance", "slope"]

CHANCE = 0.001
FEWEST = 8
"""Windows; with fewer, the test's approximation by a normal distribution is too coarse."""


def slope(values: Sequence[float]) -> float:
    """
    Theil and Sen's slope per step.
    """
    pairs = combinations(enumerate(values), 2)
    return median((late - early) / (after - before) for (before, early), (after, late) in pairs)


def chance(values: Sequence[float]) -> float:
    """
    Mann and Kendall's: how likely values without a trend rise as clearly as these.
    """
    count = len(values)
    rises = sum((late > early) - (late < early) for early, late in combinations(values, 2))
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if variance <= 0:  # all are equal
        return 1.0
    score = (rises - math.copysign(1, rises)) / math.sqrt(variance) if rises else 0.0
    return 0.5 * math.erfc(score / math.sqrt(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """
    One figure over the windows. `bound` is the steepest slope that passes, in percent per window.
    """

    name: str
    values: tuple[float, ...]
    bound: float

    def __post_init__(self) -> None:
        if len(self.values) < FEWEST:
            raise ValueError(f"{len(self.values)} windows are too few to judge {self.name}")

    @property
    def percent(self) -> float:
        """
        The slope in percent of the median per window.
        """
        middle = median(self.values)
        return 100 * slope(self.values) / middle if middle else 0.0

    @property
    def chance(self) -> float:
        """
        How likely this is nothing but variation.
        """
        return chance(self.values)

    @property
    def rises(self) -> bool:
        """
        Whether it fails.
        """
        return self.percent > self.bound and self.chance < CHANCE
