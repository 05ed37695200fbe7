"""
The arithmetic: percentiles of latencies, and ratios that are paired per repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import sub, truediv
from statistics import median

from tests.benchmarks.model import Cell, Loop, Result

__all__ = ["Key", "Ratio", "by_key", "key_of", "median_of", "paired", "percentile", "shown"]

Key = tuple[str, str, Loop]
"""Work, client, loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """
    The median of the ratios of single repetitions, or of the differences, and how far they lie
    apart.
    """

    middle: float
    low: float
    high: float
    difference: bool = False

    def __str__(self) -> str:
        tell = "{:.3g}".format if self.difference else shown
        if self.low == self.high:
            return tell(self.middle)
        return f"{tell(self.middle)} ({tell(self.low)}..{tell(self.high)})"


def shown(ratio: float) -> str:
    """
    Three digits, as far as they say anything.
    """
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """
    The value that `percent` of these, which are in order, do not exceed; None for no values.
    """
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def key_of(cell: Cell) -> Key:
    """
    What makes two cells the same, but for the repetition.
    """
    return (cell.work, cell.client, cell.loop)


def by_key(results: Iterable[Result]) -> dict[Key, dict[int, Result]]:
    """
    The results that have figures: for each work, client and loop, by repetition.
    """
    found: dict[Key, dict[int, Result]] = {}
    for result in results:
        if result.measured:
            found.setdefault(key_of(result.cell), {})[result.rep] = result
    return found


def paired(
    ours: Mapping[int, Result],
    theirs: Mapping[int, Result],
    figure: Callable[[Result], float | None],
    *,
    difference: bool = False,
) -> Ratio | None:
    """
    Our figure over theirs, or above theirs, of the repetitions that have both.
    """
    compare = sub if difference else truediv
    ratios = []
    for rep in ours.keys() & theirs.keys():
        above, below = figure(ours[rep]), figure(theirs[rep])
        if above is not None and below:
            ratios.append(compare(above, below))
    if not ratios:
        return None
    return Ratio(middle=median(ratios), low=min(ratios), high=max(ratios), difference=difference)


def median_of(
    results: Mapping[int, Result], figure: Callable[[Result], float | None]
) -> float | None:
    """
    The median of that figure over the repetitions.
    """
    values = [value for result in results.values() if (value := figure(result)) is not None]
    return median(values) if values else None
