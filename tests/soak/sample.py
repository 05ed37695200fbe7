"""
What this process holds at one moment, and how long calls took since the last one.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.soak.slope import Trend

__all__ = ["BOUNDS", "Sample", "take", "trends"]

BOUNDS = {
    "rss": 0.5,
    "objects": 0.2,
    "blocks": 0.2,
    "descriptors": 0.5,
    "tasks": 0.5,
    "relative_p99": 2.0,
}
"""The steepest slope that passes, in percent of the median per window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One window: KiB of memory, Python's objects and blocks of memory, open descriptors and tasks at
    its end, with no call under way; and the calls in it, their 99th percentile in ms.

    A machine that others use, too, has slow minutes. So `relative_p99` is judged: in percent of
    what the same calls took that a client made, between ours, that is as old as the window.
    """

    rss: float
    objects: float
    blocks: float
    descriptors: float
    tasks: float
    p99: float
    relative_p99: float
    calls: int


def take(took: list[float], took_new: list[float]) -> Sample:
    """
    The sample now; these are the seconds of the window's calls by the old client and by the new
    one, and are forgotten.
    """
    calls, slow, slow_new = len(took), _p99(took), _p99(took_new)
    took.clear()
    took_new.clear()
    gc.collect()
    return Sample(
        rss=_resident(),
        objects=len(gc.get_objects()),
        blocks=sys.getallocatedblocks(),
        descriptors=len(list(Path("/dev/fd").iterdir())),
        tasks=len(asyncio.all_tasks()),
        p99=1000 * slow,
        relative_p99=100 * slow / slow_new,
        calls=calls,
    )


def _p99(took: list[float]) -> float:
    return sorted(took)[len(took) * 99 // 100]


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * (
            resource.getpagesize() / 1024
        )
    except OSError:  # not Linux: the largest that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def trends(samples: list[Sample]) -> list[Trend]:
    """
    How each figure went.
    """
    return [
        Trend(
            name=name,
            values=tuple(float(getattr(sample, name)) for sample in samples),
            bound=bound,
        )
        for name, bound in BOUNDS.items()
    ]
