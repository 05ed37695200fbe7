"""
Who may listen to what happens: logging, metrics, `redis.events()`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Protocol, Self
from weakref import WeakSet

from sahool_cache.address import Address
from sahool_cache.events import (
    BreakerChanged,
    CertificatesRefused,
    CredentialsRefused,
    Event,
    MasterChanged,
    RightMissing,
    SentinelDown,
    SlowCommand,
)

__all__ = ["EventStream", "Events", "LoggingObserver", "Observer"]


class Observer(Protocol):
    """
    Told of every event at once, in the event loop: must not block, and should not raise.
    """

    def on_event(self, event: Event) -> None:
        """
        Takes note of one event.
        """
        ...


_WARNINGS = (
    BreakerChanged, CertificatesRefused, CredentialsRefused, RightMissing, SentinelDown,
)  # fmt: skip


class LoggingObserver:
    """
    Writes events to the logger ``sahool_cache.events``: trouble as WARNING, the rest as INFO. A
    failover has one WARNING of its own, see `Recorder`; its steps, and the calls that were slow
    because they waited for it, are INFO. Slow commands share one line a second.
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("sahool_cache.events")
        self._slow_logged_at = float("-inf")
        self._slow_unlogged = 0
        self._master: Address | None = None

    def on_event(self, event: Event) -> None:
        """
        Writes one line.
        """
        if isinstance(event, SlowCommand) and event.waited < event.seconds / 2:
            self._on_slow(event)
            return
        trouble = isinstance(event, _WARNINGS)
        if isinstance(event, MasterChanged):
            self._master = event.new
        elif isinstance(event, BreakerChanged):  # a dead replica is tried again every second
            trouble = event.node == self._master
        self._log.log(logging.WARNING if trouble else logging.INFO, "%s", event)

    def _on_slow(self, event: SlowCommand) -> None:
        if event.at - self._slow_logged_at < 1.0:
            self._slow_unlogged += 1
            return
        more = f" (and {self._slow_unlogged} more before)" if self._slow_unlogged else ""
        self._log.warning("%s%s", event, more)
        self._slow_logged_at, self._slow_unlogged = event.at, 0


class Events:
    """
    Hands each event to every observer; one that fails is reported once and harms nobody.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers: list[Observer] = list(observers)
        self._streams: WeakSet[EventStream] = WeakSet()
        self._reported: set[int] = set()

    def add(self, observer: Observer) -> None:
        """
        Tells that observer too, from now on.
        """
        self._observers.append(observer)

    def remove(self, observer: Observer) -> None:
        """
        Tells it no more.
        """
        if observer in self._observers:
            self._observers.remove(observer)

    def stream(self, size: int = 1000) -> EventStream:
        """
        A new stream of events; one that nobody holds any more is forgotten.
        """
        stream = EventStream(size)
        self._streams.add(stream)
        return stream

    def end_streams(self) -> None:
        """
        Ends every stream after the events that are already there.
        """
        for stream in tuple(self._streams):
            stream.on_event(None)
        self._streams.clear()

    def tell(self, kind: type[Event], **facts: Any) -> None:
        """
        Tells everybody a fact of this moment.
        """
        self.emit(kind(at=asyncio.get_running_loop().time(), **facts))

    def emit(self, event: Event) -> None:
        """
        Tells everybody.
        """
        for observer in (*self._observers, *self._streams):
            try:
                observer.on_event(event)
            except Exception:
                if id(observer) not in self._reported:
                    self._reported.add(id(observer))
                    logging.getLogger("sahool_cache.events").exception(
                        "%s failed on an event; it is reported once", type(observer).__name__
                    )


class EventStream:
    """
    Events as an async iterator, from now until the client closes.

    Holds the newest `size` events for a reader that lags behind; older ones are dropped.
    """

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(size)

    def on_event(self, event: Event | None) -> None:
        """
        Keeps the event for the reader; None ends the iteration.
        """
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            self.on_event(None)  # whoever asks again hears it again
            raise StopAsyncIteration
        return event
