"""
Single-flight: of many callers in this process who miss the same entry, one load serves all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any
from weakref import ref

from sahool_cache.client import RedisClient
from sahool_cache.recipes.shared import CLOSE_WITHIN, Shared

__all__ = ["Flight", "Flights"]


_ENCLOSING: ContextVar[tuple[ref[Flight], ...]] = ContextVar("sahool_cache.loads", default=())
"""The loads that the running code is part of; what they start may outlive them."""


class Flight:
    """
    One load under way. It belongs to none of its callers: each may leave, and only when the last
    one has gone is it given up, unless it is `kept` to go on in the background.
    """

    def __init__(
        self, load: Coroutine[Any, Any, Any], *, kept: bool, forget: Callable[[Flight], None]
    ) -> None:
        context = copy_context()
        around = [each for each in _ENCLOSING.get() if (flight := each()) and not flight.ended]
        context.run(_ENCLOSING.set, (*around, ref(self)))
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(load, name="sahool_cache.load", context=context)
        self.kept = kept
        self.waiting: set[asyncio.Future[None]] = set()
        self._forget = forget
        self.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._forget(self)
        for each in self.waiting:
            if not each.done():
                each.set_result(None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; where nobody does, it has been logged

    @property
    def encloses(self) -> bool:
        """
        Whether the running code is part of this load, and would wait for itself.
        """
        return any(each() is self for each in _ENCLOSING.get())

    @property
    def ended(self) -> bool:
        """
        Whether there is nothing to wait for any more.
        """
        return self.task.done()

    async def wait(self, seconds: float | None) -> bool:
        """
        Whether it has ended within that time.
        """
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.add(ended)  # one each: a task takes long to forget one of many who wait for it
        try:
            done, _ = await asyncio.wait({ended}, timeout=seconds)
            if not done:
                self.kept = True
            return bool(done)
        finally:
            self.waiting.discard(ended)
            if not (self.waiting or self.kept or self.ended):
                self._forget(self)  # who comes now begins another one
                self.task.cancel()


class Flights:
    """
    The companion of a client that knows all of its loads.
    """

    def __init__(self, client: RedisClient) -> None:
        client.companion(Shared)  # was there before, and so is closed after: loads need it to end
        self._of: dict[str, Flight] = {}
        self._all: set[Flight] = set()

    def get(self, key: str) -> Flight | None:
        """
        The load of that entry which a new caller may share.
        """
        flight = self._of.get(key)
        return None if flight is None or flight.ended else flight

    def start(self, key: str, load: Coroutine[Any, Any, Any], *, kept: bool = False) -> Flight:
        """
        Begins one, which new callers share from now on.
        """

        def forget(flight: Flight) -> None:
            if self._of.get(key) is flight:
                del self._of[key]
            if flight.ended:
                self._all.discard(flight)

        flight = self._of[key] = Flight(load, kept=kept, forget=forget)
        self._all.add(flight)
        return flight

    def part(self, key: str) -> None:
        """
        Lets no new caller share the load of that entry.
        """
        self._of.pop(key, None)

    async def aclose(self) -> None:
        """
        Ends those for which nobody waits; the others end without Redis.
        """
        tasks = {flight.task for flight in self._all if not flight.waiting}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_WITHIN)
