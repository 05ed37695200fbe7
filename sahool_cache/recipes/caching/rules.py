"""
What is stored, for how long, and what happens when loading is slow or fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from random import Random
from typing import Any, Literal, TypeAlias, TypedDict, get_args

__all__ = ["CacheOptions", "OnOutage", "Rules", "Seconds", "Ttl"]

Seconds: TypeAlias = float | timedelta
Ttl: TypeAlias = Seconds | Callable[[Any], Seconds]
OnOutage = Literal["call", "raise"]


class CacheOptions(TypedDict, total=False):
    """
    What can be said of a cache; all of it may be left out. Durations are seconds or a `timedelta`.
    """

    none_ttl: Seconds
    """For how long None is fresh; as long as other results by default, 0 to never store it."""

    jitter: float
    """By what share of itself the ttl is shortened at most, at random, so that what was stored
    together does not expire together. 0.05 by default."""

    stale_while_revalidate: Seconds
    """For how long after the ttl a result is still given, while it is loaded in the background."""

    stale_if_error: Seconds
    """For how long after the ttl a result is given if loading fails, or takes too long."""

    early_refresh: float
    """Greater than 1 loads earlier, less than 1 later, 0 never before the ttl has ended. By default
    1: in its last quarter a result is loaded anew in the background with a probability that rises
    the nearer its end is, and the longer it takes to load (XFetch, Vattani et al. 2015)."""

    soft_timeout: Seconds
    """For how long a caller waits for the load if there is a result to be given instead, see
    `stale_if_error`. The load goes on in the background, and its result is stored."""

    hard_timeout: Seconds
    """For how long a caller waits for the load in any case; then it raises `TimeoutError`, unless
    there is a result to be given instead. The load goes on in the background."""

    when: Callable[[Any], bool]
    """Whether a result is stored; it is given to its callers in any case."""

    compress_from: int
    """Bytes from which on entries are compressed; never by default."""

    on_outage: OnOutage
    """While Redis cannot be reached: ``call`` (by default) the function, or ``raise`` the error."""

    timeout: Seconds
    """For how long Redis may take to answer; the client's `command_timeout` by default."""

    use_slave: bool
    """Reads from a replica that keeps up, if there is one: a result may be older then by
    `max_replica_lag`, and so may the knowledge that it was invalidated."""


@dataclass(frozen=True, slots=True)
class Rules:
    """
    `CacheOptions`, checked, in seconds. Raises `ValueError` or `TypeError` that names the option.
    """

    ttl: float | Callable[[Any], Seconds]
    none_ttl: float | None = None
    jitter: float = 0.05
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    early_refresh: float = 1.0
    soft_timeout: float | None = None
    hard_timeout: float | None = None
    when: Callable[[Any], bool] | None = None
    compress_from: int | None = None
    on_outage: OnOutage = "call"
    timeout: float | None = None
    use_slave: bool = False

    @classmethod
    def of(cls, ttl: Ttl, options: CacheOptions) -> Rules:
        """
        The rules that these options come to.
        """
        given: dict[str, Any] = dict(options)
        for name in given.keys() & _ABOVE_ZERO:
            given[name] = seconds(name, given[name], above_zero=True)
        for name in given.keys() & _FROM_ZERO:
            given[name] = seconds(name, given[name])
        if not callable(ttl):
            ttl = seconds("ttl", ttl, above_zero=True)
        rules = cls(ttl=ttl, **given)
        rules._check()
        return rules

    def _check(self) -> None:
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must be from 0 to less than 1, not {self.jitter!r}")
        if not 0 <= self.early_refresh < inf:
            raise ValueError(f"early_refresh must be at least 0, not {self.early_refresh!r}")
        if self.on_outage not in get_args(OnOutage):
            raise ValueError(f"on_outage must be call or raise, not {self.on_outage!r}")
        if self.compress_from is not None and not isinstance(self.compress_from, int):
            raise TypeError(f"compress_from must be a number of bytes, not {self.compress_from!r}")
        if self.when is not None and not callable(self.when):
            raise TypeError("when must be a function of the result")

    @property
    def stale(self) -> float:
        """
        Seconds for which an entry is kept after its ttl.
        """
        return max(self.stale_while_revalidate, self.stale_if_error)

    def ttl_of(self, result: Any, random: Random) -> float:
        """
        Seconds for which that result is fresh; 0 if it is not to be stored.
        """
        if self.when is not None and not self.when(result):
            return 0.0
        if result is None and self.none_ttl is not None:
            ttl = self.none_ttl
        elif callable(self.ttl):
            ttl = seconds("ttl", self.ttl(result))
        else:
            ttl = self.ttl
        return ttl * (1 - self.jitter * random.random())


_FROM_ZERO = frozenset({"none_ttl", "stale_while_revalidate", "stale_if_error"})
_ABOVE_ZERO = frozenset({"soft_timeout", "hard_timeout", "timeout"})


def seconds(name: str, value: Any, *, above_zero: bool = False) -> float:
    """
    The duration in seconds. Raises `ValueError` that names it.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")  # noqa: TRY004
    if not (value > 0 if above_zero else value >= 0) or value > LONGEST:
        least = "more than 0" if above_zero else "at least 0"
        raise ValueError(f"{name} must be {least}, and a hundred years at most, not {value!r}")
    return float(value)


LONGEST = 100 * 366 * 86400.0
"""Seconds; the server counts milliseconds in 64 bits, and refuses what does not fit."""
