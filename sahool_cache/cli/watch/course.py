"""
The course of what happened while somebody watched, in words and as data.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sahool_cache.cli.escapes import printable
from sahool_cache.cli.watch.words import words
from sahool_cache.events import Event, FenceLifted, FenceRaised, MasterChanged
from sahool_cache.incident import Incident

__all__ = ["Course", "Entry", "Tone"]

Tone = Literal["trouble", "good", "news"]

TOLD_AFTER = 3.0
"""Seconds without a usable master after which the reason is told: a failover takes less."""

KEPT = 10_000
"""The newest entries that are kept: about ten megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    Something that happened, `at` seconds after the start; `event` is the client's, if it was one.
    """

    at: float
    time: datetime
    text: str
    tone: Tone
    event: Event | None

    @property
    def line(self) -> str:
        """
        One line of text, in local time.
        """
        return f"{self.time.astimezone():%H:%M:%S}.{self.time.microsecond // 1000:03}  {self.text}"


class Course:
    """
    Keeps the newest entries, and hands each on to `on_entry`. `now` is the event loop's clock.
    """

    def __init__(self, now: Callable[[], float], on_entry: Callable[[Entry], None]) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.incidents: list[Incident] = []
        self.happened = 0
        self.held: str | None = None
        self.why: str | None = None
        self._lost_at: float | None = None
        self._now, self._on_entry = now, on_entry
        self._began, self._began_at = datetime.now(UTC), now()

    @property
    def elapsed(self) -> float:
        """
        Seconds since the start.
        """
        return self._now() - self._began_at

    def take_event(self, event: Event) -> None:
        """
        Notes an event of the client.
        """
        match event:
            case FenceRaised(why=why):
                self.held = why
            case FenceLifted() | MasterChanged():
                self.held = None
        text, tone = words(event)
        self._enter(event.at - self._began_at, text, tone, event)

    def take_incidents(self, incidents: tuple[Incident, ...]) -> None:
        """
        Notes those that are new.
        """
        for incident in incidents:
            if incident not in self.incidents:
                self.incidents.append(incident)
                self._enter(self.elapsed, incident.summary, "news", None)

    def take_reason(self, why: str | None) -> None:
        """
        Takes note of why the master cannot be used; None while it can.
        """
        self.why = why
        if why is None:
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = self.elapsed
        elif self.elapsed - self._lost_at >= TOLD_AFTER:
            self._lost_at = math.inf  # once for each outage
            self._enter(self.elapsed, f"the master cannot be used: {why}", "trouble", None)

    def _enter(self, at: float, text: str, tone: Tone, event: Event | None) -> None:
        time = self._began + timedelta(seconds=at)
        entry = Entry(at=at, time=time, text=printable(text), tone=tone, event=event)
        self.entries.append(entry)
        self.happened += 1
        self._on_entry(entry)

    def as_data(self) -> dict[str, Any]:
        """
        The events and incidents as plain data.
        """
        told = [each for each in self.entries if each.event is not None]
        return {
            "began": self._began.isoformat(),
            "seconds": round(self.elapsed, 3),
            "events": [_event(each, each.event) for each in told],
            "events_dropped": self.happened - len(self.entries),
            "incidents": [each.as_dict() for each in self.incidents],
        }


def _event(entry: Entry, event: Event | None) -> dict[str, Any]:
    facts = {
        field.name: _plain(getattr(event, field.name))
        for field in fields(event)  # type: ignore[arg-type]
        if field.name != "at"
    }
    return {"at": round(entry.at, 6), "kind": type(event).__name__, **facts}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return str(value) if hasattr(value, "port") else [_plain(each) for each in value]
    return value
