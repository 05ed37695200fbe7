"""
Replies that are on their way, each for everybody who asks for it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

__all__ = ["Fill", "Fills"]


class Fill:
    """
    One reply that was asked for at `asked_at`, and who waits for it.
    """

    __slots__ = ("asked_at", "names", "probe", "waiters")

    def __init__(self, probe: str | bytes, names: Sequence[str], asked_at: float) -> None:
        self.probe = probe
        self.names = names
        self.asked_at = asked_at
        self.waiters: list[asyncio.Future[Any]] = []

    def join(self) -> asyncio.Future[Any]:
        """
        The future reply for one more caller, who may go away without harm to the others.
        """
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return waiter

    def end(self, reply: Any) -> None:
        """
        Hands the reply to all who still wait.
        """
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(reply)


class Fills:
    """
    Those whose reply may still be kept, and shared by who asks now: nothing has changed since.
    """

    def __init__(self) -> None:
        self._by_probe: dict[str | bytes, Fill] = {}
        self._by_name: dict[str, set[Fill]] = {}

    def get(self, probe: str | bytes) -> Fill | None:
        """
        The one that asks for the same.
        """
        return self._by_probe.get(probe)

    def add(self, fill: Fill) -> None:
        """
        Takes note of a new one, in place of an earlier one.
        """
        earlier = self._by_probe.get(fill.probe)
        if earlier is not None:
            self.forget(earlier)
        self._by_probe[fill.probe] = fill
        for name in fill.names:
            self._by_name.setdefault(name, set()).add(fill)

    def forget(self, fill: Fill) -> bool:
        """
        Takes one away; whether it was still here.
        """
        if self._by_probe.get(fill.probe) is not fill:
            return False
        del self._by_probe[fill.probe]
        for name in fill.names:
            fills = self._by_name.get(name, set())
            fills.discard(fill)
            if not fills:
                self._by_name.pop(name, None)
        return True

    def drop(self, name: str) -> bool:
        """
        Takes those away that depend on a key; whether there were any.
        """
        fills = tuple(self._by_name.get(name, ()))
        for fill in fills:
            self.forget(fill)
        return bool(fills)

    def clear(self) -> None:
        """
        Takes all away.
        """
        self._by_probe.clear()
        self._by_name.clear()
