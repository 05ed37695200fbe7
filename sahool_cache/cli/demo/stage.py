"""
What the audience sees: the state of the show at one moment, and the notes of what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sahool_cache.address import Address
from sahool_cache.cli.traffic.ledger import Figures
from sahool_cache.events import (
    BreakerChanged,
    Event,
    MasterChanged,
    RotationChanged,
    SentinelDown,
    SentinelUp,
    TopologyConfirmed,
)

__all__ = ["Condition", "Frame", "NodeState", "Note", "Stage", "Tone", "short"]

Tone = Literal["fault", "repair", "news"]
Condition = Literal["killed", "hung", "returning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """
    Something that happened, `at` seconds after the start.
    """

    at: float
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """
    A server as our client sees it, and what was done to it.
    """

    address: Address
    role: Literal["master", "replica"]
    in_rotation: bool
    condition: Condition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    All that can be shown at one moment. `contenders` are titles and figures, ours first.
    """

    elapsed: float
    seconds: float
    headline: str
    notes: tuple[Note, ...]
    nodes: tuple[NodeState, ...]
    epoch: int
    provisional: bool
    sentinels: tuple[int, int]
    breaker: str
    waiting: int
    contenders: tuple[tuple[str, Figures], ...]


class Stage:
    """
    Keeps the notes, the headline and the state of the nodes; an observer of our client.
    """

    def __init__(self, *, seconds: float, on_note: Callable[[Note], None]) -> None:
        self.seconds = seconds
        self.headline = "starting"
        self.notes: list[Note] = []
        self.conditions: dict[Address, Condition] = {}
        self.sentinels: set[Address] = set()
        self._on_note = on_note
        self._started = time.monotonic()
        self._in_rotation: tuple[Address, ...] = ()

    @property
    def elapsed(self) -> float:
        """
        Seconds since the start.
        """
        return time.monotonic() - self._started

    def tell(self, text: str, tone: Tone = "news") -> None:
        """
        Notes what has just happened.
        """
        note = Note(at=self.elapsed, text=text, tone=tone)
        self.notes.append(note)
        self._on_note(note)

    def on_event(self, event: Event) -> None:
        """
        Notes an event of our client, in words.
        """
        match event:
            case MasterChanged(old=None):
                return
            case MasterChanged(new=new, provisional=provisional):
                early = " already" if provisional else ""
                self.tell(f"RedisClient follows {short(new)}{early}", "repair")
            case TopologyConfirmed(master=master, epoch=epoch):
                self.tell(f"Sentinel confirms {short(master)} (epoch {epoch})")
            case RotationChanged(in_rotation=fit):
                self._tell_rotation(fit)
            case BreakerChanged(node=node, state=state):
                self.tell(f"breaker of {short(node)} is {state.replace('_', '-')}")
            case SentinelUp(sentinel=sentinel):
                self.sentinels.add(sentinel)
            case SentinelDown(sentinel=sentinel):
                self.sentinels.discard(sentinel)
                self.tell(f"sentinel {short(sentinel)} does not answer")

    def _tell_rotation(self, fit: tuple[Address, ...]) -> None:
        before, self._in_rotation = self._in_rotation, fit
        if not fit:
            self.tell("no fit replica: master serves reads")
            return
        for address in fit:
            if address not in before:
                self.tell(f"replica {short(address)} is in rotation")
        for address in before:
            if address not in fit:
                self.tell(f"replica {short(address)} is out of rotation")


def short(address: Address) -> str:
    """
    The address without its host: all of an embedded group share one.
    """
    return f":{address.port}"
