"""
What the fleet tells its observers: each change once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sahool_cache.address import Address
from sahool_cache.events import (
    Event,
    LaneTiming,
    NodeDown,
    NodeQuiet,
    NodeUp,
    SentinelDown,
    SentinelSaid,
    SentinelUp,
)
from sahool_cache.observers import Events
from sahool_cache.routing.sentinel_link import SentinelLink
from sahool_cache.wiring.members import Member
from sahool_cache.wiring.rights import Rights

__all__ = ["Bulletin"]


class Bulletin:
    """
    Emits events with the time of `now`.
    """

    def __init__(self, events: Events, now: Callable[[], float]) -> None:
        self._events = events
        self._now = now
        self.rights = Rights(self.tell)

    def tell(self, kind: type[Event], **facts: Any) -> None:
        """
        Tells one fact.
        """
        self._events.emit(kind(at=self._now(), **facts))

    def node(self, member: Member) -> bool:
        """
        Tells whether a server came, went or fell silent; True where its last connection was lost.
        """
        node, up = member.node, bool(member.node.lanes)
        if node.quiet is not member.quiet:
            member.quiet = node.quiet
            if member.quiet:
                self.tell(NodeQuiet, node=node.address)
        if up is member.up:
            return False
        member.up = up
        if up:
            self.tell(NodeUp, node=node.address, role=node.role)
        else:
            why = str(node.fault) if node.fault else "connection lost"
            self.tell(NodeDown, node=node.address, why=why)
        return not up

    def sentinel(self, link: SentinelLink) -> None:
        """
        Tells of a sentinel that came or went.
        """
        if link.connected:
            self.tell(SentinelUp, sentinel=link.address)
            self.rights_of((link,))
        else:
            self.tell(SentinelDown, sentinel=link.address, why=link.error or "gone")

    def rights_of(self, links: Iterable[SentinelLink]) -> None:
        """
        Tells what the sentinels refuse to say.
        """
        for link in links:
            for right in link.refused:
                self.rights.missing(f"{right} on a sentinel")

    def announcement(self, event: str, node: Address | None) -> None:
        """
        Tells what a sentinel said.
        """
        self.tell(SentinelSaid, event=event, node=node)

    def timing(self, member: Member) -> LaneTiming:
        """
        How a server answers at this moment; not told, but kept by the recorder.
        """
        return LaneTiming(
            at=self._now(),
            node=member.node.address,
            rtt=member.node.rtt,
            in_flight=member.node.in_flight,
        )
