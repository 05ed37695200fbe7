"""
The bars: the issue's table as data. Durations are in seconds; D is the group's down-after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

__all__ = [
    "BLOCKED",
    "CLOSED",
    "CONNECTIONS_CUT",
    "COORDINATED",
    "CRASH_ANNOUNCED",
    "CRASH_EARLY",
    "CROWD",
    "DURABLE",
    "HANG_ANNOUNCED",
    "HANG_EARLY",
    "LOST_IN_PARTITION",
    "NOTHING_LOST",
    "NO_ERRORS_OF_REPEATABLE",
    "ONCE",
    "ON_TIME",
    "OUT_OF_ROTATION",
    "PLANNED",
    "REACTION",
    "REPLICA_LOST",
    "UNTOUCHED_EX_MASTER",
    "Bar",
    "Verdict",
    "judge",
]

Statistic = Literal["median", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    One row, or one part of a row: a figure of each trial, how the trials are summed up, the limit.

    `figure` is a name out of `measure.Figures`, or of a fact that the scene or the trial noted.
    A figure that a trial does not have fails its bar, unless it is `optional`.
    """

    row: int
    what: str
    figure: str
    statistic: Statistic
    limit: Callable[[float], float]
    counts: bool = False
    """Whether the figure is a number of things, not seconds."""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    One bar over the trials of one scene. `value` is None where no trial had the figure.
    """

    bar: Bar
    scene: str
    value: float | None
    limit: float
    trials: int

    @property
    def passed(self) -> bool:
        """
        Whether the value is within the limit.
        """
        if self.value is None:
            return self.bar.optional
        return self.value <= self.limit


def judge(
    bar: Bar, scene: str, down_after: float, trials: Sequence[Mapping[str, float | None]]
) -> Verdict:
    """
    What the figures of these trials say of this bar.
    """
    values = [trial.get(bar.figure) for trial in trials]
    seen = [value for value in values if value is not None]
    complete = seen and (bar.optional or len(seen) == len(values))
    sum_up = median if bar.statistic == "median" else max
    return Verdict(
        bar=bar,
        scene=scene,
        value=float(sum_up(seen)) if complete else None,
        limit=bar.limit(down_after),
        trials=len(trials),
    )


def _seconds(
    row: int, what: str, figure: str, statistic: Statistic, limit: Callable[[float], float] | float
) -> Bar:
    bound = limit if callable(limit) else lambda _: limit
    return Bar(row=row, what=what, figure=figure, statistic=statistic, limit=bound)


def _count(row: int, what: str, figure: str, limit: float = 0, *, optional: bool = False) -> Bar:
    return Bar(
        row=row,
        what=what,
        figure=figure,
        statistic="max",
        limit=lambda _: limit,
        counts=True,
        optional=optional,
    )


REACTION = (
    _seconds(1, "announced to all writing", "reaction", "median", 0.015),
    _seconds(1, "announced to all writing", "reaction", "max", 0.050),
)
_FIRST_WRITE = _seconds(2, "candidate is master to first write", "first_write", "max", 0.100)
NO_ERRORS_OF_REPEATABLE = (_count(5, "errors of repeatable commands", "repeatable_errors"),)
ONCE = (
    _count(6, "unknown outcomes of one task", "unknown_per_task", 1),
    _count(6, "runs too many", "duplicates"),
    _count(6, "said not to have run, and ran", "denied"),
)
ON_TIME = (
    _seconds(7, "longest call beyond its deadline", "beyond_deadline", "max", 0.050),
    _count(7, "calls never answered", "unanswered"),
)
NOTHING_LOST = (
    _count(8, "acknowledged writes lost", "lost"),
    _count(8, "writes lost, by the history", "history_lost"),
    _count(8, "values read that nobody wrote", "history_dirty"),
)
UNTOUCHED_EX_MASTER = (_count(8, "writes to the known ex-master", "reached_old"),)
_SAFE = (*REACTION, *NO_ERRORS_OF_REPEATABLE, *ONCE, *ON_TIME, *NOTHING_LOST)

CRASH_EARLY = (_seconds(2, "outage", "outage", "median", lambda d: d + 0.5), _FIRST_WRITE, *_SAFE)
CRASH_ANNOUNCED = (_seconds(2, "outage", "outage", "median", lambda d: d + 1.4), *_SAFE)
HANG_EARLY = (_seconds(3, "outage", "outage", "median", lambda d: d + 0.75), *_SAFE)
HANG_ANNOUNCED = (_seconds(3, "outage", "outage", "median", lambda d: d + 1.8), *_SAFE)
_UNNOTICED = (
    _count(4, "errors", "errors"),
    _count(4, "acknowledged writes lost", "lost"),
    _count(13, "reads from the live ex-master", "reads_old", optional=True),
    *REACTION,
    *ONCE,
    *ON_TIME,
)
PLANNED = (
    _seconds(4, "pause", "outage", "median", 0.150),
    _seconds(4, "pause", "outage", "max", 0.250),
    *_UNNOTICED,
)
COORDINATED = (
    # The servers themselves take no write from anybody until the replica has acknowledged its
    # offset, which it does once a second: that part of the pause is measured, and taken off.
    _seconds(4, "pause beyond the servers' own", "own_pause", "median", 0.150),
    _seconds(4, "pause beyond the servers' own", "own_pause", "max", 0.250),
    *_UNNOTICED,
)
LOST_IN_PARTITION = (
    _seconds(9, "writes lost, as seconds of writing", "lost_time", "max", lambda d: d + 0.6),
)
DURABLE = (
    _count(10, "acknowledged writes lost", "lost"),
    _count(10, "writes lost, by the history", "history_lost"),
    _count(10, "values read that nobody wrote", "history_dirty"),
)
CONNECTIONS_CUT = (
    _seconds(11, "cut to all writing", "reconnected", "max", 0.050),
    *NO_ERRORS_OF_REPEATABLE,
    *ONCE,
    *ON_TIME,
    *NOTHING_LOST,
)
REPLICA_LOST = (
    _count(12, "read errors", "read_errors"),
    _seconds(12, "longest read", "longest_read", "max", 0.300),
    _count(12, "errors", "errors"),
    *NOTHING_LOST,
)
OUT_OF_ROTATION = (
    # max_replica_lag is 2 s; then it has 1.5 s.
    _seconds(13, "stalest read", "stalest", "max", 3.5),
    _count(13, "existing keys read as absent", "absent"),
    _count(13, "read errors", "read_errors"),
    *NOTHING_LOST,
)
CLOSED = (
    _seconds(14, "aclose", "close_time", "max", 0.100),
    _count(14, "tasks left", "tasks_left"),
    _count(14, "sockets left", "sockets_left"),
)
CROWD = (
    # "A few": five rounds of five questions, beyond what is asked in any case.
    _count(15, "queries per client and sentinel", "queries", 25),
    _count(15, "clients left behind", "left_behind"),
    _count(15, "share of the connects in the busiest 20 ms", "busiest", 0.5),
)
BLOCKED = (
    _count(16, "errors", "errors"),
    _count(16, "runs too many", "duplicates"),
    _count(16, "unknown outcomes", "unknown"),
    *NOTHING_LOST,
)
