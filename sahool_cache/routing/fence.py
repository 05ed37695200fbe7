"""
The fence: commands to a master that is about to be replaced are held, not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Fence"]

LIMIT = 4.0
"""Seconds after which a fence falls by itself: the failover did not come."""


class Fence:
    """
    Up or down. `on_raised(why, crash=...)` and `on_lifted(why)` are called on each change;
    `crash` says that there is nothing in flight worth waiting for.
    """

    def __init__(
        self, on_raised: Callable[[str, bool], None], on_lifted: Callable[[str], None]
    ) -> None:
        self.up = False
        self._raised_at = 0.0
        self._on_raised = on_raised
        self._on_lifted = on_lifted
        self._timer: asyncio.TimerHandle | None = None

    def put_up(self, why: str, *, crash: bool) -> None:
        """
        Raises the fence, or prolongs it.
        """
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(LIMIT, self.lift, "it took too long")
        if not self.up:
            self.up = True
            self._raised_at = asyncio.get_running_loop().time()
            self._on_raised(why, crash)

    def lift(self, why: str) -> None:
        """
        Lets commands flow again.
        """
        self.cancel()
        if self.up:
            self.up = False
            self._on_lifted(why)

    def lift_if_older(self, moment: float, why: str) -> None:
        """
        Lifts a fence that was up before that moment.
        """
        if self.up and self._raised_at <= moment:
            self.lift(why)

    def cancel(self) -> None:
        """
        Stops the timer.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
