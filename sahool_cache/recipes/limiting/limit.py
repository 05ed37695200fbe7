"""
A limit: so many requests in so much time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Limit", "checked_cost", "checked_limits", "checked_seconds", "whole_number"]

MOST_REQUESTS = 10_000_000
"""The scripts calculate exactly up to here: products of two such numbers are below 2^53."""

SHORTEST, LONGEST = 0.001, 3650 * 86400.0
"""Seconds of a window: keys expire by the millisecond, and ten years are enough."""


@dataclass(frozen=True, slots=True, init=False)
class Limit:
    """
    At most `max_requests` (to ten million) in `window` seconds (0.001 to ten years, a number or a
    timedelta; to the microsecond).

    Raises `TypeError` or `ValueError` that names what is wrong.
    """

    max_requests: int
    window: float

    def __init__(self, max_requests: int, window: float | timedelta) -> None:
        whole_number("max_requests", max_requests, at_most=MOST_REQUESTS)
        seconds = checked_seconds("window", window)
        if not SHORTEST <= seconds <= LONGEST:
            raise ValueError(
                f"window must be {SHORTEST:g} to {LONGEST:.0f} seconds, not {window!r}"
            )
        object.__setattr__(self, "max_requests", max_requests)
        object.__setattr__(self, "window", round(seconds * 1e6) / 1e6)

    def __str__(self) -> str:
        return f"{self.max_requests}/{self.window:.6f}".rstrip("0").rstrip(".") + "s"

    @property
    def microseconds(self) -> int:
        """
        The window in the unit of the scripts.
        """
        return round(self.window * 1e6)


def checked_limits(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """
    The limits, each of them once.
    """
    try:
        found = tuple(limits)
    except TypeError:
        raise TypeError(f"limits must be a list of Limit, not {limits!r}") from None
    for limit in found:
        if not isinstance(limit, Limit):
            raise TypeError(f"limits must be a list of Limit; {limit!r} is none")
    if not found:
        raise ValueError("limits must not be empty")
    if len(set(found)) < len(found):
        raise ValueError(f"limits has the same one twice: {', '.join(map(str, found))}")
    return found


def checked_cost(cost: int, limits: tuple[Limit, ...]) -> int:
    """
    The cost of a call that these limits can let pass.
    """
    return whole_number("cost", cost, at_most=min(limit.max_requests for limit in limits))


def whole_number(name: str, value: int, *, at_most: int) -> int:
    """
    The argument of that name, 1 or more.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not 1 <= value <= at_most:
        raise ValueError(f"{name} must be 1 to {at_most}, not {value!r}")
    return value


def checked_seconds(name: str, value: float | timedelta) -> float:
    """
    The argument of that name in seconds, neither negative nor infinite.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds or a timedelta, not {value!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{name} must be 0 or more and finite, not {value!r}")
    return float(seconds)
