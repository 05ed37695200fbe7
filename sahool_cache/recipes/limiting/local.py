"""
The limits of one process on its own, for as long as Redis cannot be asked.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.result import Standing

__all__ = ["LocalLimiter"]

KEPT = 10_000
"""Ids that are remembered; what was counted longest ago goes first."""


class LocalLimiter:
    """
    Each limit divided by the number of `processes` (at least 1 request), by GCRA whatever the
    algorithm in Redis is. `now` is a clock that never goes back, in microseconds.

    A call that costs more than this share passes when all of it is there, and the time until the
    next one makes up for it.
    """

    def __init__(self, limits: tuple[Limit, ...], processes: int) -> None:
        self._shares = [
            (max(1, limit.max_requests // processes), limit.microseconds) for limit in limits
        ]
        # Per id and limit, when all is paid back: a time multiplied by the share, so that one
        # request takes a window of it, and all of it are whole numbers.
        self._times: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = Lock()  # the clients of several threads may share a limiter

    def take(self, identifier: str, cost: int, now: int) -> list[Standing]:
        """
        How it stands; it passes where no limit makes it wait, and is counted then.
        """
        with self._lock:
            times = self._known(identifier, now)
            standings = self._standings(times, cost, now)
            if any(standing.retry_after for standing in standings):
                return standings
            times = self._moved(times, cost)
            self._keep(identifier, times)
            return self._standings(times, 0, now)

    def peek(self, identifier: str, now: int) -> list[Standing]:
        """
        The same for a cost of 1, and nothing is counted.
        """
        with self._lock:
            return self._standings(self._known(identifier, now), 1, now)

    def refund(self, identifier: str, cost: int, now: int) -> list[Standing]:
        """
        Gives back what was taken; how it stands then with a call of the same cost.
        """
        with self._lock:
            if identifier in self._times:
                self._keep(identifier, self._moved(self._known(identifier, now), -cost))
            return self._standings(self._known(identifier, now), cost, now)

    def forget(self, identifier: str | None = None) -> None:
        """
        Forgets what that id has taken, or what all have.
        """
        with self._lock:
            if identifier is None:
                self._times.clear()
            else:
                self._times.pop(identifier, None)

    def _known(self, identifier: str, now: int) -> list[int]:
        times = self._times.get(identifier) or [0] * len(self._shares)
        return [
            max(time, now * share) for time, (share, _) in zip(times, self._shares, strict=True)
        ]

    def _moved(self, times: list[int], cost: int) -> list[int]:
        return [time + cost * window for time, (_, window) in zip(times, self._shares, strict=True)]

    def _keep(self, identifier: str, times: list[int]) -> None:
        self._times[identifier] = times
        self._times.move_to_end(identifier)
        if len(self._times) > KEPT:
            self._times.popitem(last=False)

    def _standings(self, times: list[int], cost: int, now: int) -> list[Standing]:
        found = []
        for time, (share, window) in zip(times, self._shares, strict=True):
            used = time - now * share
            wait = used - (share - min(cost, share)) * window if cost else 0
            found.append(
                Standing(
                    remaining=max(0, share + -used // window),
                    reset_after=-(-used // share),
                    retry_after=max(0, -(-wait // share)),
                )
            )
        return found
