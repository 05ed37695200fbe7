"""
The flight recorder: a bounded memory of what happened, from which each failover gets a record.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sahool_cache.address import Address
from sahool_cache.events import (
    Event,
    FenceLifted,
    FenceRaised,
    LaneTiming,
    MasterChanged,
    NodeDown,
    NodeQuiet,
    NodeUp,
    SentinelSaid,
    SlowCommand,
    TopologyConfirmed,
)
from sahool_cache.incident import Incident, Step, Unknown, Waited

__all__ = ["Recorder"]

RING, INCIDENTS, UNKNOWN, STEPS = 1000, 20, 100, 200
PULSE, BEFORE = 0.9, 1.0
"""Seconds between two timings of a server; seconds before the first sign in the timeline."""

AFTERMATH, UNCONFIRMED = 1.0, 8.0
"""Seconds after which a record is closed: once it is confirmed, or at the latest."""

STRAY = 5.0
"""Seconds after which a sign that nothing followed is forgotten: sentinels err."""

_SIGNS = (FenceRaised, NodeDown, NodeQuiet, SentinelSaid)
_SAID = ("+sdown", "+odown", "+try-failover", "+elected-leader", "+selected-")
"""How the announcements begin that come before a switch; others come after it, too."""


class _Case:
    """
    What may become an incident: signs, the calls that wait, and later the switch.
    """

    def __init__(self, at: float) -> None:
        self.began = self.last_sign = at
        self.fenced: float | None = None
        self.elected: float | None = None
        self.switch: MasterChanged | None = None
        self.epoch = 0
        self.first_write: float | None = None
        self.confirmed: float | None = None
        self.waited: dict[str, tuple[int, float]] = {}
        self.unknown: list[Unknown] = []
        self.unknown_calls = 0

    def since(self, at: float | None) -> float | None:
        """
        Seconds from the first sign to that moment.
        """
        return None if at is None else round(at - self.began, 6)


class Recorder:
    """
    An observer that keeps the newest events and lane timings, and closes a record after each
    failover, which is one WARNING in the logger ``sahool_cache.incidents``.
    """

    def __init__(self, master_name: str) -> None:
        self._master_name = master_name
        self._ring: deque[Event] = deque(maxlen=RING)
        self._incidents: deque[Incident] = deque(maxlen=INCIDENTS)
        self._master: Address | None = None
        self._troubles: set[str] = set()
        self._pulsed_at = float("-inf")
        self._case: _Case | None = None
        self._log = logging.getLogger("sahool_cache.incidents")

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """
        The newest records, oldest first.
        """
        return tuple(self._incidents)

    def on_event(self, event: Event) -> None:
        """
        Takes note.
        """
        if isinstance(event, SlowCommand):  # their number is in the record
            return
        self._ring.append(event)
        if isinstance(event, MasterChanged):
            self._switched(event)
            return
        ours = getattr(event, "node", self._master) == self._master
        if isinstance(event, SentinelSaid):
            ours = event.event.startswith(_SAID)
        if ours and isinstance(event, _SIGNS):
            self._sign(event)
        elif isinstance(event, FenceLifted):
            self._troubles.discard("fenced")
        elif isinstance(event, NodeUp) and ours:
            self._troubles.discard("down")
        elif isinstance(event, TopologyConfirmed) and self._case is not None:
            self._case.confirmed, self._case.epoch = event.at, event.epoch

    def _sign(self, event: Event) -> None:
        case = self._case
        if case is None:
            case = self._case = _Case(event.at)
        case.last_sign = event.at
        if isinstance(event, NodeDown):
            self._troubles.add("down")
        elif isinstance(event, FenceRaised):
            self._troubles.add("fenced")
            case.fenced = event.at if case.fenced is None else case.fenced
        elif isinstance(event, SentinelSaid) and event.event.startswith("+selected-"):
            case.elected = event.at if case.elected is None else case.elected

    def _switched(self, event: MasterChanged) -> None:
        self._master = event.new
        self._troubles.clear()
        if event.old is None:
            self._case = None
            return
        if self._case is not None and self._case.switch is not None:
            self._close(self._case, self._case.switch)
        case = self._case = self._case or _Case(event.at)
        case.switch, case.epoch = event, event.epoch
        case.confirmed = None if event.provisional else event.at

    def waited(self, command: str, seconds: float) -> None:
        """
        Notes a call that stood in line.
        """
        if self._case is not None:
            calls, longest = self._case.waited.get(command, (0, 0.0))
            self._case.waited[command] = calls + 1, max(longest, seconds)

    def left_unknown(self, command: str, node: str | None, at: float) -> None:
        """
        Notes a call whose outcome is not known.
        """
        case = self._case
        if case is not None:
            case.unknown_calls += 1
            if len(case.unknown) < UNKNOWN:
                case.unknown.append(
                    Unknown(at=round(at - case.began, 6), command=command, node=node)
                )

    def wrote(self, at: float) -> None:
        """
        Notes a write that was acknowledged after it had waited or failed at first.
        """
        case = self._case
        if case is not None and case.switch is not None and case.first_write is None:
            case.first_write = at

    def pulse(self, at: float, timings: Iterable[LaneTiming]) -> None:
        """
        Now and then: keeps timings, one of each server a second, and closes a complete record.
        """
        if at - self._pulsed_at >= PULSE:
            self._pulsed_at = at
            self._ring.extend(timings)
        case = self._case
        if case is None:
            return
        if case.switch is not None:
            after = at - case.switch.at
            if after > UNCONFIRMED or (case.confirmed is not None and after > AFTERMATH):
                self._close(case, case.switch)
        elif not self._troubles and at - case.last_sign > STRAY:
            self._case = None

    def close(self) -> None:
        """
        Closes a record that is still open: the client ends.
        """
        if self._case is not None and self._case.switch is not None:
            self._close(self._case, self._case.switch)

    def _close(self, case: _Case, switch: MasterChanged) -> None:
        self._case = None
        ago = (self._ring[-1].at if self._ring else switch.at) - case.began
        incident = Incident(
            master_name=self._master_name,
            began=datetime.now(UTC) - timedelta(seconds=max(0.0, ago)),
            old=str(switch.old),
            new=str(switch.new),
            epoch=case.epoch,
            fenced=case.since(case.fenced),
            elected=case.since(case.elected),
            promoted=round(switch.at - case.began, 6),
            first_write=case.since(case.first_write),
            confirmed=case.since(case.confirmed),
            outage=switch.outage,
            waited=tuple(
                Waited(command=command, calls=calls, longest=round(longest, 6))
                for command, (calls, longest) in sorted(case.waited.items())
            ),
            unknown_calls=case.unknown_calls,
            unknown=tuple(case.unknown),
            lanes=self._lanes(case),
            timeline=self._timeline(case),
        )
        self._incidents.append(incident)
        self._log.warning("%s", incident.line)

    def _timeline(self, case: _Case) -> tuple[Step, ...]:
        return tuple(
            _step(event, case)
            for event in self._ring
            if event.at >= case.began - BEFORE and not isinstance(event, LaneTiming)
        )[:STEPS]

    def _lanes(self, case: _Case) -> tuple[Step, ...]:
        last = {
            event.node: event
            for event in self._ring
            if isinstance(event, LaneTiming) and event.at <= case.began
        }
        return tuple(_step(event, case) for event in last.values())


def _step(event: Event, case: _Case) -> Step:
    return Step(at=round(event.at - case.began, 6), text=str(event))
