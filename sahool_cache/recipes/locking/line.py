"""
Who waits for one lock in this process: the first asks the server, the others stand behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from sahool_cache.client import RedisClient
from sahool_cache.errors import ClientClosedError
from sahool_cache.recipes.locking.claim import Granted, Refused
from sahool_cache.recipes.shared import Shared
from sahool_cache.recipes.wakeups import Ear

__all__ = ["Line", "Lines"]


class Line:
    """
    First come, first served. It has one ear for all, from the first refusal until nobody stands in
    it: no release since the last answer is missed, so whoever comes to the front need not ask.
    """

    def __init__(self, channel: str, lines: Lines) -> None:
        self.channel = channel
        self.ear = Ear(lines.shared.wakeups, channel)
        self.standing = 0
        self.hears = False
        self._front = asyncio.Lock()
        self._lines = lines
        self._until = 0.0

    async def wait_for(
        self, ask: Callable[[], Awaitable[Granted | Refused]], lease: float, limit: float
    ) -> Granted | None:
        """
        What `ask` was granted before `limit`, for a `lease`. Raises what it raises.
        """
        answer: Granted | Refused | None = None
        if not await self._comes_to_the_front(limit):
            if monotonic() >= self._until:  # who is in front has had no answer: is there a server?
                answer = await ask()
            return answer if isinstance(answer, Granted) else None
        try:
            while not self.hears or await self._heard(limit):
                answer = await ask()
                if isinstance(answer, Granted):
                    self._until = answer.since + lease
                    return answer
                self._until = answer.until
                if not self.hears and not await self._listens(limit):
                    break
            return None
        finally:
            if self.hears and not isinstance(answer, Granted):
                self.ear.ring()  # what woke this one, and was of no use to it, is for the next
            self._front.release()

    async def _comes_to_the_front(self, limit: float) -> bool:
        if self.standing == 1:
            return await self._front.acquire()
        try:
            async with asyncio.timeout(max(0.0, limit - monotonic())):
                return await self._front.acquire()
        except TimeoutError:
            return False

    async def _heard(self, limit: float) -> bool:
        """
        Waits until the lock may be free; False when the time is up.
        """
        await self.ear.wait(max(0.0, min(self._until, limit) - monotonic()))
        if self._lines.closed:
            raise ClientClosedError("the client was closed")
        return monotonic() < limit

    async def _listens(self, limit: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, limit - monotonic())):
                await self._lines.shared.wakeups.enter(self.channel, self.ear)
        except TimeoutError:
            return False
        self.hears = True
        self.ear.ring()  # it may have been free for a moment
        return True


class Lines:
    """
    The companion of a client that has a line for each lock that is being waited for.
    """

    def __init__(self, client: RedisClient) -> None:
        self.shared = client.companion(Shared)
        self.closed = False
        self.of: dict[str, Line] = {}

    def enter(self, channel: str) -> Line:
        """
        The line of that channel; `leave` it.
        """
        line = self.of.get(channel)
        if line is None:
            line = self.of[channel] = Line(channel, self)
        line.standing += 1
        return line

    def leave(self, line: Line) -> None:
        """
        Forgets the line when nobody stands in it.
        """
        line.standing -= 1
        if not line.standing:
            del self.of[line.channel]
            if line.hears:
                self.shared.wakeups.leave(line.channel, line.ear)

    async def aclose(self) -> None:
        """
        Tells everybody who waits that the client is being closed.
        """
        self.closed = True
        for line in self.of.values():
            line.ear.ring()
