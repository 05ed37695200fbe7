"""
One time budget per call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["Deadline"]


class Deadline:
    """
    The moment, on the event loop's clock, at which a call must have ended; `waited` are the
    seconds that it spent in line.
    """

    __slots__ = ("_loop", "_now", "at", "waited")

    def __init__(self, seconds: float, *, since: float | None = None) -> None:
        if seconds != seconds:  # noqa: PLR0124  # NaN; it would never end, nor anything behind it
            raise ValueError("a timeout must be a number of seconds, not NaN")
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self.at = (self._now() if since is None else since) + seconds
        self.waited = 0.0

    @property
    def left(self) -> float:
        """
        The seconds that are left; not below zero.
        """
        return max(0.0, self.at - self._now())

    @property
    def passed(self) -> bool:
        """
        Whether the budget has ended.
        """
        return self._now() >= self.at

    async def wait(self, future: asyncio.Future[Any], error: Callable[[], Exception]) -> Any:
        """
        The future's result, or that error set on it when the budget ends first.

        A timer only, and no task: about 1 us.
        """
        if future.done() or self.at == float("inf"):
            return await future
        timer = self._loop.call_at(self.at, _expire, future, error)
        try:
            return await future
        finally:
            timer.cancel()


def _expire(future: asyncio.Future[Any], error: Callable[[], Exception]) -> None:
    if not future.done():
        future.set_exception(error())
