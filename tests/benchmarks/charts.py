"""
Which charts the results make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.benchmarks.bars import BARS, FIGURES
from tests.benchmarks.chart import Chart
from tests.benchmarks.model import BASELINE, OURS, Loop, Result, baseline_loop
from tests.benchmarks.ratios import by_key, paired
from tests.benchmarks.report import order

__all__ = ["distances", "ratios"]


def ratios(results: Sequence[Result]) -> Chart:
    """
    For each work and loop, how many times the rate of the baseline each client reaches; the line is
    the bar of ours.
    """
    found = by_key(results)
    groups: dict[str, dict[str, float]] = {}
    for key in sorted(found, key=order):
        (work, client, loop), mine = key, found[key]
        beside = baseline_loop(loop)
        ratio = paired(mine, found.get((work, BASELINE, beside), {}), FIGURES["rate"])
        if ratio is not None:
            groups.setdefault(_title(work, beside), {})[client] = ratio.middle
    limits = {
        _title(bar.work, bar.loop): bar.limit
        for bar in BARS
        if bar.figure == "rate" and bar.against == BASELINE
    }
    return Chart(
        title=f"Commands per second, as multiples of {BASELINE}'s",
        groups={name: _ordered(bars) for name, bars in groups.items() if len(bars) > 1},
        limits=limits,
        unit="x",
        marked=OURS,
    )


def distances(places: Mapping[str, Sequence[Result]]) -> Chart:
    """
    How many times the baseline's rate ours reaches, for each work, by place.
    """
    groups: dict[str, dict[str, float]] = {}
    for place, results in places.items():
        found = by_key(results)
        for key in sorted(found, key=order):
            (work, client, loop), mine = key, found[key]
            ratio = paired(mine, found.get((work, BASELINE, loop), {}), FIGURES["rate"])
            if client == OURS and ratio is not None:
                groups.setdefault(work, {})[place] = ratio.middle
    title = f"Commands per second of ours, as multiples of {BASELINE}'s at the same distance"
    return Chart(title=title, groups=groups, unit="x", marked="")


def _title(work: str, loop: Loop) -> str:
    return work if loop == "asyncio" else f"{work} ({loop})"


def _ordered(bars: dict[str, float]) -> dict[str, float]:
    return dict(sorted(bars.items(), key=lambda each: -each[1]))
