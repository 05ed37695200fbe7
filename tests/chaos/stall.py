"""
Whether the machine stood still: then the milliseconds of a trial say nothing about the client.
"""

from __future__ import annotations

import threading
import time
from typing import Self

__all__ = ["Stall"]

_STEP = 0.01


class Stall:
    """
    Within ``with``, a thread that sleeps for moments; `longest` is how much too late it woke up.

    In a thread, and not in the event loop: a client that blocks the loop must not be excused by it.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            time.sleep(_STEP)
            self.longest = max(self.longest, time.monotonic() - began - _STEP)
