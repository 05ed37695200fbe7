"""
The waiting line: calls that cannot be sent now, in the order in which they came.
"""

from __future__ import annotations

import asyncio

from sahool_cache.errors import OverloadedError
from sahool_cache.policy.deadline import Deadline

__all__ = ["WaitingLine"]


class WaitingLine:
    """
    At most `limit` calls wait; one more is refused at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: dict[asyncio.Future[None], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, deadline: Deadline, *, at_most: float | None = None) -> None:
        """
        Returns when something changed, after `at_most` seconds, or when the budget has ended.

        Raises `OverloadedError` when the line is full.
        """
        if len(self._waiting) >= self.limit:
            raise OverloadedError(f"{self.limit} calls are waiting already")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        until = deadline.at if at_most is None else min(deadline.at, loop.time() + at_most)
        timer = None if until == float("inf") else loop.call_at(until, _wake, turn)
        self._waiting[turn] = None
        try:
            await turn
        finally:
            self._waiting.pop(turn, None)
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """
        Lets everybody look again, first come first.
        """
        waiting, self._waiting = self._waiting, {}
        for turn in waiting:
            _wake(turn)


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
