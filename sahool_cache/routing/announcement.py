"""
What a sentinel's event means for us: hints only, which the watcher verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sahool_cache.address import Address

__all__ = ["Announcement", "Meaning", "read_announcement"]


class Meaning(Enum):
    """
    What to do about an event.
    """

    LOOK = "something changed: ask"
    SUSPECT = "the master may be down: ask often"
    DOWN = "a quorum holds the master for down: hold commands to it"
    CALM = "the master is well after all"
    UNDER_WAY = "a failover has begun: ask often"
    CHOSEN = "this replica is about to be promoted"
    SWITCHED = "this one is the master now"
    ABORTED = "the failover was given up"


_MEANINGS = {
    "+switch-master": Meaning.SWITCHED,
    "+odown": Meaning.DOWN,
    "-odown": Meaning.CALM,
    "+sdown": Meaning.SUSPECT,
    "-sdown": Meaning.LOOK,
    "+try-failover": Meaning.UNDER_WAY,
    "+elected-leader": Meaning.UNDER_WAY,
    "+selected-slave": Meaning.CHOSEN,
    "+failover-state-wait-promotion": Meaning.CHOSEN,
    "+promoted-slave": Meaning.CHOSEN,
}

_ABOUT_THE_MASTER = (Meaning.SUSPECT, Meaning.DOWN, Meaning.CALM, Meaning.UNDER_WAY)

_IGNORED = frozenset({"+vote-for-leader", "+new-epoch", "+pong", "+tilt", "-tilt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """
    One event about our group. `node` is the server it is about, where it names one.
    """

    event: str
    meaning: Meaning
    node: Address | None = None


def read_announcement(
    event: str, text: str, name: str, reachable: Callable[[Address], Address]
) -> Announcement | None:
    """
    The event's meaning for the group `name`; None when it is about something else.

    Events about an instance read ``<type> <name> <ip> <port> [@ <group> <ip> <port>]``.
    """
    if event in _IGNORED or event[:1] not in "+-":
        return None
    words = text.split()
    if event == "+switch-master":
        if len(words) < 5 or words[0] != name:
            return None
        return _announce(event, Meaning.SWITCHED, words[3:5], reachable)
    kind, group = (words[0], words[words.index("@") + 1 :][:1]) if "@" in words else ("", [])
    if not group:
        kind, group = (words[0], words[1:2]) if words[:1] == ["master"] else ("", [])
    if group != [name]:
        return None
    meaning = _MEANINGS.get(event, Meaning.LOOK)
    if event.startswith("-failover-abort"):
        meaning = Meaning.ABORTED
    elif kind != "master" and meaning in _ABOUT_THE_MASTER:
        meaning = Meaning.LOOK
    elif meaning is Meaning.CHOSEN and kind != "slave":
        meaning = Meaning.SUSPECT
    return _announce(event, meaning, words[2:4], reachable)


def _announce(
    event: str, meaning: Meaning, place: list[str], reachable: Callable[[Address], Address]
) -> Announcement:
    told = Address.told(*place) if len(place) == 2 else None
    node = reachable(told) if told is not None else None
    return Announcement(event=event, meaning=meaning, node=node)
