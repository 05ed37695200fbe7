"""
Being woken by a message instead of asking again and again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

from redis.exceptions import RedisError, ResponseError

from sahool_cache.client import RedisClient
from sahool_cache.errors import ClientClosedError
from sahool_cache.pubsub import PubSub

__all__ = ["Ear", "Wakeups"]

UNHEARD = 0.1
"""Seconds between two looks where no message can come: the user may not subscribe."""


class Starts(Protocol):
    """
    Starts a task and keeps it.
    """

    def __call__(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]: ...


class Ear:
    """
    Hears one channel for the length of an ``async with``, which costs a round trip to enter if
    nobody of this client hears it yet.

    What was published before it was entered is not heard: look first, enter, and look once more.
    """

    def __init__(self, wakeups: Wakeups, channel: str) -> None:
        self._wakeups = wakeups
        self._channel = channel
        self._rung = asyncio.Event()
        self.ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._wakeups.enter(self._channel, self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._wakeups.leave(self._channel, self)

    def ring(self) -> None:
        """
        Something was published, or may have been while nobody could hear it.
        """
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """
        Returns when something was published since the last wait, or may have been, and after
        that many seconds at the latest.
        """
        if self._wakeups.deaf:
            seconds = min(seconds, UNHEARD)
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()


class Wakeups:
    """
    All ears of a client, on one connection; it is made for the first of them, and kept.
    """

    def __init__(self, client: RedisClient, start: Starts) -> None:
        self._client = client
        self._start = start
        self._ears: dict[str, set[Ear]] = {}
        self._pubsub: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closed = False
        self.deaf = False

    def ear(self, channel: str) -> Ear:
        """
        Hears that channel once it is entered.
        """
        return Ear(self, channel)

    async def enter(self, channel: str, ear: Ear) -> None:
        """
        Returns when that ear hears. Raises `UnavailableError` when it cannot be subscribed.
        """
        ears = self._ears.setdefault(channel, set())
        known = any(each.ready.is_set() for each in ears)
        ears.add(ear)
        try:
            if not known:
                await self._subscribe(channel)
                await ear.ready.wait()
        except BaseException:
            self.leave(channel, ear)
            raise
        ear.ready.set()

    def leave(self, channel: str, ear: Ear) -> None:
        """
        Forgets that ear.
        """
        ears = self._ears.get(channel, set())
        ears.discard(ear)
        if not ears and self._ears.pop(channel, None) is not None and self._pubsub is not None:
            self._start(self._unsubscribe(channel), name="unsubscribe")

    async def _subscribe(self, channel: str) -> None:
        self._check_open()
        if self._pubsub is None:
            self._pubsub = self._client.pubsub()
        pubsub = self._pubsub
        await pubsub.subscribe(channel)
        if self._closed:  # in between: the connection may be a new one
            await pubsub.aclose()
        self._check_open()
        if self._reader is None or self._reader.done():
            self._reader = self._start(self._read(pubsub), name="wakeups")

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("the client was closed")

    async def _unsubscribe(self, channel: str) -> None:
        # Sent in the order in which it was decided: only for a connection is waited, in line.
        if channel not in self._ears and self._pubsub is not None:
            try:
                await self._pubsub.unsubscribe(channel)
            except RedisError:  # it is lost with the connection
                return

    async def _read(self, pubsub: PubSub) -> None:
        try:
            while True:
                try:
                    response = await pubsub.parse_response(block=True)
                except ResponseError as refusal:
                    self._refused(refusal)
                except UnicodeDecodeError:  # somebody's own message
                    continue
                else:
                    if response is None:
                        return
                    message = await pubsub.handle_message(response)  # type: ignore[no-untyped-call]
                    if message is not None:
                        self._heard(message)
        except RedisError:  # the client was closed, or may not log in any more: who waits will see
            pass
        finally:
            self._ring_all()

    def _ring_all(self) -> None:
        for ears in self._ears.values():
            for ear in ears:
                ear.ready.set()
                ear.ring()

    def _heard(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        channel = channel.decode() if isinstance(channel, bytes) else channel
        for ear in self._ears.get(channel, ()):
            if message["type"] == "subscribe":  # after a gap as well
                ear.ready.set()
            ear.ring()

    def _refused(self, refusal: ResponseError) -> None:
        if not self.deaf:
            logging.getLogger("sahool_cache.recipes").warning(
                "Locks and caches ask again and again, since they may not subscribe: %s", refusal
            )
        self.deaf = True
        for ears in self._ears.values():
            for ear in ears:
                ear.ready.set()

    async def aclose(self) -> None:
        """
        Ends the connection, and whatever is waited for here.
        """
        self._closed = True
        self._ring_all()  # a reader that was cancelled before it began has rung nobody
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()
