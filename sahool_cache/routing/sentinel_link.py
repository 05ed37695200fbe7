"""
One sentinel: a connection that is kept open, listened to, and asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from random import Random
from typing import Any, Protocol

from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache.address import Address
from sahool_cache.routing.discovery import (
    NotMonitored,
    SentinelView,
    brief_questions,
    questions,
    read_brief_view,
    read_view,
)

__all__ = ["Channel", "SentinelLink"]

BACKOFF_FIRST, BACKOFF_CAP = 0.1, 1.0
PING_INTERVAL = 1.0


class Channel(Protocol):
    """
    What a link needs of a connection to a sentinel. Every method raises an `Exception` whose
    text says why, when the connection does not serve. `lives` are the seconds after which it is to
    be replaced.
    """

    role: str | None
    lives: float

    async def ask(self, commands: tuple[tuple[str, ...], ...]) -> list[Any]:
        """
        The replies in order, errors among them.
        """
        ...

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        """
        Calls `heard(event, text)` for every event from now on.
        """
        ...

    async def wait_lost(self) -> str:
        """
        Returns when the connection has ended, with the reason.
        """
        ...

    def abort(self, why: str) -> None:
        """
        Ends the connection at once.
        """
        ...


class SentinelLink:
    """
    One sentinel. `run()` keeps the connection; `ask()` gives its view of the group.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        dial: Callable[[Address], Awaitable[Channel]],
        reachable: Callable[[Address], Address],
        timeout: float,
        random: Random,
        heard: Callable[[str, str], None],
        on_state: Callable[[SentinelLink], None],
    ) -> None:
        self.address = address
        self.run_id = ""
        self.error: str | None = "not yet asked"
        self.connected = False
        self.listening = False
        self.misnamed = False
        self.refused: set[str] = set()
        self._name = name
        self._dial = dial
        self._reachable = reachable
        self._timeout = timeout
        self._ends_at = inf
        self._random = random
        self._heard = heard
        self._on_state = on_state
        self.channel: Channel | None = None
        self._view: SentinelView | None = None
        self._tried = asyncio.Event()
        self._nudged = asyncio.Event()

    async def run(self) -> None:
        """
        Connects and subscribes, again and again, until cancelled.
        """
        failures = 0
        while True:
            self._nudged.clear()
            try:
                await self._connect()
                failures = 0
                while True:
                    await self._stay()
                    await self._replace()
            except Exception as error:  # noqa: BLE001  # whatever it was, it is this sentinel's own trouble
                self._down(str(error) or type(error).__name__)
            finally:
                self._drop("link ended")
            delay = min(BACKOFF_CAP, BACKOFF_FIRST * 2**failures)
            failures = min(failures + 1, 16)
            await self._pause(delay * (1 - self._random.random() / 2))

    async def _connect(self) -> None:
        self.channel = await self._open()
        self.connected = True
        self.error = None
        self._tried.set()
        self._on_state(self)

    async def _open(self) -> Channel:
        """
        A new connection that is listened to.
        """
        channel: Channel | None = None
        try:
            # Dialling has a time limit of its own, a shorter one.
            async with asyncio.timeout(max(self._timeout, 0.3) * 5):
                channel = await self._dial(self.address)
                _check_role(channel)
                try:
                    await channel.listen(self._heard)
                    self.listening = True
                except ResponseError:  # the ACL forbids it: polling alone has to do
                    self.listening = False
                    self.refused.add("PSUBSCRIBE")
        except BaseException:
            if channel is not None:
                channel.abort("not fit to be asked")
            raise
        self._ends_at = asyncio.get_running_loop().time() + channel.lives
        return channel

    async def _stay(self) -> None:
        """
        Returns when the connection is old enough to be replaced; raises when it has ended.
        """
        lost = asyncio.create_task(
            self._need_channel().wait_lost(), name=f"sahool_cache.sentinel {self.address} lost"
        )
        try:
            while not lost.done():
                left = self._ends_at - asyncio.get_running_loop().time()
                if left <= 0:
                    return
                async with asyncio.timeout(max(self._timeout, 0.3) * 3):
                    await self._need_channel().ask((("PING",),))
                await asyncio.wait({lost}, timeout=min(PING_INTERVAL, left))
        except TimeoutError:
            raise ConnectionError("does not answer PING") from None
        finally:
            lost.cancel()
        raise ConnectionError(lost.result() if lost.done() and not lost.cancelled() else "lost")

    async def _replace(self) -> None:
        """
        Opens the next connection before the old one ends, so that no event goes unheard; what both
        tell is heard twice, which does no harm. Without a next one the old one goes on.
        """
        try:
            channel = await self._open()
        except Exception:  # noqa: BLE001  # tried again: a connection that is too old is still one
            self._ends_at = asyncio.get_running_loop().time() + PING_INTERVAL
            return
        old, self.channel = self.channel, channel
        self._view = None
        if old is not None:
            try:
                await asyncio.sleep(self._timeout)  # what was asked on it has been answered by then
            finally:
                old.abort("replaced by a new connection")

    def _down(self, why: str) -> None:
        was_connected, self.connected = self.connected, False
        self.error = why
        self._tried.set()
        if was_connected:
            self._on_state(self)

    def _drop(self, why: str) -> None:
        channel, self.channel = self.channel, None
        self._view = None
        self.connected = self.listening = False
        if channel is not None:
            channel.abort(why)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass

    def hurry(self) -> None:
        """
        Ends a pause between two attempts to connect.
        """
        self._nudged.set()

    def _need_channel(self) -> Channel:
        if self.channel is None or not self.connected:
            raise ConnectionError(self.error or "not connected")
        return self.channel

    async def ask(self, *, brief: bool = False) -> SentinelView:
        """
        The sentinel's view, in one round trip. Raises an `Exception` whose text says why not.

        A `brief` question is about the master only; what else was known is asked again only if
        that has changed.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._tried.wait()
                view = await self._ask_briefly() if brief else None
                view = view or await self._ask_all()
        except TimeoutError:
            self.error = f"no answer within {self._timeout:g} s"
            raise ConnectionError(self.error) from None
        except Exception as error:
            self.misnamed = isinstance(error, NotMonitored)
            self.error = str(error) or type(error).__name__
            raise
        self.run_id, self.error, self.misnamed = view.run_id, None, False
        self._view = view
        return view

    async def _ask_all(self) -> SentinelView:
        asked, known = questions(self._name), self._view
        if known is None:
            replies = await self._need_channel().ask(asked)
        else:  # its id does not change while the connection lasts
            replies = [known.run_id, *await self._need_channel().ask(asked[1:])]
        self.refused.update(
            " ".join(question[:2])
            for question, reply in zip(asked, replies, strict=True)
            if isinstance(reply, NoPermissionError)
        )
        return read_view(self.address, self._name, replies, self._reachable)

    async def _ask_briefly(self) -> SentinelView | None:
        known = self._view
        if known is None:
            return None
        replies = await self._need_channel().ask(brief_questions(self._name))
        view = read_brief_view(known, self._name, replies, self._reachable)
        return view if (view.master, view.epoch) == (known.master, known.epoch) else None


def _check_role(channel: Channel) -> None:
    if channel.role not in (None, "sentinel"):
        raise ConnectionError(
            f"is a server of role {channel.role}, not a sentinel (sentinels listen on "
            "port 26379 by default)"
        )
