"""
What a node is told, and what it tells: plain values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sahool_cache.address import Address

__all__ = ["LaneOptions", "NodeStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """
    What every lane of a client has in common; seconds. `on_push` hears what nobody asked for;
    a lane is replaced before it is of `max_age`.
    """

    count: int = 1
    budget: float = 10.0
    quiet_after: float = 0.2
    silence_limit: float = 5.0
    decode: bool = False
    max_age: float | None = None
    on_push: Callable[[list[Any]], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """
    One server as the client sees it now; `dials` counts the attempts to open a lane.
    """

    address: Address
    role: str | None
    lanes: int
    in_flight: int
    answered: int
    quiet: bool
    exclusive: int
    rtt: float | None
    fault: str | None
    dials: int
