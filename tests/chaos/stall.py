"""
Whether the machine stood still: then the milliseconds of a trial say nothing about the client.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from typing import Self

__all__ = ["Stall"]

_STEP = 0.01
_BLOCKED = 0.1


class Stall:
    """
    Within ``with``, a thread that sleeps for moments; `longest` is how much too late it woke up.

    In a thread, and not in the event loop: a client that blocks the loop must not be excused by it.
    When the loop does not come round although the machine goes on, `blocked` says for how long, and
    `where` what it was doing.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.blocked = 0.0
        self.where = ""
        self._main = threading.get_ident()
        self._beaten = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(5)

    async def beat(self) -> None:
        """
        Shows that the loop comes round, until it is cancelled.
        """
        while True:
            self._beaten = time.monotonic()
            await asyncio.sleep(_STEP)

    def _look_at_the_loop(self) -> None:
        late = time.monotonic() - self._beaten - _STEP
        if late > max(self.blocked, _BLOCKED):
            self.blocked = late
            frame = sys._current_frames().get(self._main)
            self.where = " < ".join(
                f"{each.name}:{each.lineno}"
                for each in reversed(traceback.extract_stack(frame)[-6:])
            )

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            time.sleep(_STEP)
            self.longest = max(self.longest, time.monotonic() - began - _STEP)
            self._look_at_the_loop()
