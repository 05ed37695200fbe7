"""
The timeline of one scene as an SVG: acknowledged writes of each client round the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.chaos.trial import BIN, WARM_UP, Event, Trial

__all__ = ["draw"]

_LEFT, _RIGHT, _WIDTH = 120, 20, 960
_TOP, _LANE, _GAP = 44, 64, 34
_SHOWN = (
    *("fault", "+sdown", "+odown", "+selected-slave", "ROLE master"),
    *("+switch-master", "old master wakes", "old master is back", "loaded", "awake"),
)
# Both colour schemes: the page's own text colour cannot be inherited through <img>.
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.name { font-weight: 600 } .small { font-size: 10px; fill: #57606a }
.axis { stroke: #8c959f; stroke-width: 1 } .event { stroke: #8c959f; stroke-dasharray: 2 3 }
.fault { stroke: #cf222e; stroke-width: 1.5 }
.acks { fill: #2da44e } .others .acks { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .axis, .event { stroke: #6e7681 }
  .fault { stroke: #ff7b72 } .acks { fill: #3fb950 } .others .acks { fill: #9198a1 }
}
"""


def draw(title: str, trials: Sequence[Trial]) -> str:
    """
    One lane per trial, on one axis of time, as long as its load went on; the events are those that
    the sentinels of that trial announced.
    """
    span = max(len(trial.acknowledged) for trial in trials) * BIN
    peak = max(max(trial.acknowledged, default=1) for trial in trials) or 1
    height = _TOP + len(trials) * (_LANE + _GAP) + 24
    lanes = [_lane(trial, _TOP + n * (_LANE + _GAP), span, peak) for n, trial in enumerate(trials)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="name" x="8" y="18">{escape(title)}</text>',
            *lanes,
            _axis(span, height - 22),
            "</svg>\n",
        ]
    )


def _x(seconds: float, span: float) -> float:
    return round(_LEFT + (seconds + WARM_UP) / span * (_WIDTH - _LEFT - _RIGHT), 1)


def _lane(trial: Trial, top: int, span: float, peak: int) -> str:
    bottom = top + _LANE
    steps = [f"M{_x(-WARM_UP, span)} {bottom}"]
    for n, count in enumerate(trial.acknowledged):
        y = round(bottom - count / peak * (_LANE - 14), 1)
        steps.append(f"V{y}H{_x((n + 1) * BIN - WARM_UP, span)}")
    kind = "ours" if trial.client == "ours" else "others"
    outage = trial.figures.get("outage") or 0.0
    end = _x(len(trial.acknowledged) * BIN - WARM_UP, span)
    return "\n".join(
        [
            f'<g class="{kind}">',
            f'<text class="name" x="8" y="{bottom - 24}">{escape(trial.client)}</text>',
            f'<text class="small" x="8" y="{bottom - 8}">outage {outage * 1000:.0f} ms</text>',
            f'<path class="acks" d="{"".join(steps)}V{bottom}Z"/>',
            f'<path class="axis" d="M{_LEFT} {bottom}H{end}"/>',
            *_events(trial.events, top, bottom, span),
            "</g>",
        ]
    )


def _events(events: Sequence[Event], top: int, bottom: int, span: float) -> list[str]:
    drawn: list[str] = []
    free = [float("-inf")] * 2  # where the next label may begin, on each of two lines
    for event in events:
        if event.name not in _SHOWN or event.at + WARM_UP > span:
            continue
        x = _x(event.at, span)
        kind = "event fault" if event.name == "fault" else "event"
        drawn.append(f'<path class="{kind}" d="M{x} {top}V{bottom}"/>')
        line = next((n for n, place in enumerate(free) if x >= place), None)
        if line is not None:
            free[line] = x + 6 * len(event.name) + 6
            drawn.append(
                f'<text class="small" x="{x + 2}" y="{top - 10 + 10 * line}">'
                f"{escape(event.name)}</text>"
            )
    return drawn


def _axis(span: float, y: int) -> str:
    step = 1 if span < 12 else 2
    marks = range(-int(WARM_UP), int(span - WARM_UP) + 1)
    return "\n".join(
        f'<text class="small" text-anchor="middle" x="{_x(n, span)}" y="{y + 12}">{n} s</text>'
        for n in marks
        if n % step == 0
    )
