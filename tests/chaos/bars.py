"""
The bars: the issue's table as data. Durations are in seconds; D is the group's down-after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Bar"]

Statistic = Literal["median", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    One row, or one half of a row: a figure of each trial, how the trials are summed up, the limit.

    `figure` is a name out of `measure.Figures`, or of a fact that the scene noted; a figure that a
    trial does not have fails its bar.
    """

    row: int
    what: str
    figure: str
    statistic: Statistic
    limit: Callable[[float], float]
    count: bool = False
    """Whether the figure is a number of things, not seconds."""
