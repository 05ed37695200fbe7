"""
Figures in words, the same in every form of the demo.
"""

from __future__ import annotations

from sahool_cache.cli.traffic.ledger import Figures

__all__ = ["errors", "milliseconds", "opening", "seconds"]


def opening(length: float, *, compare: bool) -> str:
    """
    The sentence that says what will happen.
    """
    beside = ", and through redis-py's Sentinel client beside it" if compare else ""
    return (
        f"For about {length:.0f} s, reads and writes go through RedisClient to a real Sentinel "
        f"group{beside}, while its master is killed (SIGKILL) and the next one hangs (SIGSTOP)."
    )


def seconds(duration: float) -> str:
    """
    A duration from milliseconds to minutes, in seconds.
    """
    return f"{duration:.2f} s"


def milliseconds(duration: float | None) -> str:
    """
    A latency, given in seconds.
    """
    if duration is None:
        return "-"
    value = duration * 1000
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.2f} ms"


def errors(figures: Figures) -> str:
    """
    How many errors reached the application, and how many of them by calls that may run twice.
    """
    if not figures.errors:
        return "0"
    return f"{figures.errors:,} ({figures.repeatable_errors:,} of repeatable)"
