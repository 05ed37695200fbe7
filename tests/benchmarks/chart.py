"""
Bar charts as SVG: one group of bars per work, one bar per client.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Chart", "draw"]

_LEFT, _RIGHT, _WIDTH = 250, 70, 960
_TOP, _BAR, _GAP = 46, 16, 14
# Both colour schemes: the page's own text colour cannot be inherited through <img>.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.name { font-weight: 600 } .small { font-size: 11px; fill: #57606a } .end { text-anchor: end }
.axis { stroke: #8c959f; stroke-width: 1 } .limit { stroke: #cf222e; stroke-width: 1.5 }
.bar { fill: #8c959f } .ours { fill: #2da44e }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #6e7681 }
  .limit { stroke: #ff7b72 } .bar { fill: #6e7681 } .ours { fill: #3fb950 }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """
    For each group, the bars by name; a group may have a limit, which is a line across its bars.

    The scale is logarithmic when the largest value is more than thirty times the smallest.
    """

    title: str
    groups: Mapping[str, Mapping[str, float]]
    limits: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    marked: str = "ours"
    """What the names of the bars that stand out begin with."""


def draw(chart: Chart) -> str:
    """
    The chart's file.
    """
    place = _scale([value for bars in chart.groups.values() for value in bars.values()])
    y, parts = _TOP, []
    for name, bars in chart.groups.items():
        parts += _group(chart, name, bars, y, place)
        y += _BAR * len(bars) + _GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 8}" role="img">',
            f"<title>{escape(chart.title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="name" x="8" y="20">{escape(chart.title)}</text>',
            *parts,
            f'<path class="axis" d="M{_LEFT} {_TOP - 6}V{y - _GAP + 6}"/>',
            "</svg>\n",
        ]
    )


class _Scale:
    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._logarithmic = low > 0 and high / low > 30

    def __call__(self, value: float) -> float:
        room = _WIDTH - _LEFT - _RIGHT
        if self._logarithmic:
            # The smallest bar still shows.
            floor = self._low / 2
            share = math.log(max(value, floor) / floor) / math.log(self._high / floor)
        else:
            share = value / self._high
        return round(_LEFT + min(1.0, max(0.0, share)) * room, 1)


def _scale(values: Sequence[float]) -> _Scale:
    known = [value for value in values if value > 0] or [1.0]
    return _Scale(min(known), max(known))


def _group(
    chart: Chart, name: str, bars: Mapping[str, float], top: int, place: _Scale
) -> list[str]:
    parts = [f'<text class="name" x="8" y="{top + 12}">{escape(name)}</text>']
    for number, (client, value) in enumerate(bars.items()):
        y = top + number * _BAR
        right = place(value)
        kind = "bar ours" if client.startswith(chart.marked) else "bar"
        told = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        parts += [
            f'<text class="small end" x="{_LEFT - 6}" y="{y + 12}">{escape(client)}</text>',
            f'<path class="{kind}" d="M{_LEFT} {y + 2}H{right}V{y + _BAR - 1}H{_LEFT}Z"/>',
            f'<text class="small" x="{right + 5}" y="{y + 12}">{told}{escape(chart.unit)}</text>',
        ]
    if name in chart.limits:
        x, bottom = place(chart.limits[name]), top + len(bars) * _BAR
        parts.append(f'<path class="limit" d="M{x} {top}V{bottom}"/>')
    return parts
