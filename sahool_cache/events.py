"""
What happened, as frozen facts, and who may listen: logging, metrics, `redis.events()`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Protocol, Self
from weakref import WeakSet

from sahool_cache.address import Address

__all__ = [
    "BreakerChanged",
    "Event",
    "EventStream",
    "Events",
    "FenceLifted",
    "FenceRaised",
    "LoggingObserver",
    "MasterChanged",
    "NodeDown",
    "NodeUp",
    "Observer",
    "RightMissing",
    "RotationChanged",
    "SentinelDown",
    "SentinelUp",
    "SlowCommand",
    "TopologyConfirmed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One fact. `at` is the event loop's clock in seconds.
    """

    at: float

    def __str__(self) -> str:
        facts = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "at"]
        return " ".join([type(self).__name__, *facts])


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterChanged(Event):
    """
    Calls go to another master from now on. `outage` is the seconds since the old one was last
    able to take a command, or None where there was no pause (or no old master).
    """

    old: Address | None
    new: Address
    epoch: int
    provisional: bool
    outage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyConfirmed(Event):
    """
    A config-epoch confirmed the master that was followed early.
    """

    master: Address
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRaised(Event):
    """
    New commands to the master are held: a failover is about to replace it.
    """

    master: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceLifted(Event):
    """
    Held commands flow again.
    """

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUp(Event):
    """
    A server can be used.
    """

    node: Address
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDown(Event):
    """
    A server cannot be used.
    """

    node: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationChanged(Event):
    """
    Other replicas than before are fit to be read.
    """

    in_rotation: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelUp(Event):
    """
    A sentinel answers and is listened to.
    """

    sentinel: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelDown(Event):
    """
    A sentinel does not answer.
    """

    sentinel: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """
    A node's circuit breaker is now ``closed``, ``open`` or ``half_open``.
    """

    node: Address
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RightMissing(Event):
    """
    An optional right is missing in the server's ACL; `costs` is the feature that rests on it.
    """

    right: str
    costs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCommand(Event):
    """
    A call took longer than `slow_threshold`, all waiting and repeating included.
    """

    command: str
    seconds: float


class Observer(Protocol):
    """
    Told of every event at once, in the event loop: must not block, and should not raise.
    """

    def on_event(self, event: Event) -> None:
        """
        Takes note of one event.
        """
        ...


_WARNINGS = (MasterChanged, FenceRaised, BreakerChanged, RightMissing, SlowCommand, SentinelDown)


class LoggingObserver:
    """
    Writes events to the logger ``sahool_cache.events``: trouble as WARNING, the rest as INFO.

    Slow commands share one line a second: after an outage every call that waited is one.
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("sahool_cache.events")
        self._slow_logged_at = float("-inf")
        self._slow_unlogged = 0

    def on_event(self, event: Event) -> None:
        """
        Writes one line.
        """
        if isinstance(event, SlowCommand):
            self._on_slow(event)
            return
        trouble = isinstance(event, _WARNINGS)
        if isinstance(event, MasterChanged) and event.old is None:  # found, not changed
            trouble = False
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
