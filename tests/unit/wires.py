"""
A connection without a network: what was written is kept, replies are fed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from sahool_cache.connection.lane import Lane

__all__ = ["FakeTransport", "FakeWire", "lane_on"]


class FakeTransport:
    """
    Keeps each write; `backlog` is what it pretends still to have in its buffer.
    """

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.backlog = 0

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.backlog


class FakeWire:
    """
    A greeted connection: `feed()` is the server speaking, `hang_up()` the server leaving.
    """

    def __init__(self, role: str | None = "master", client_id: int | None = 7) -> None:
        self.role = role
        self.client_id = client_id
        self.transport = FakeTransport()
        self.was_cut = False
        self.on_write: Callable[[bytes], None] | None = None

    def attach(
        self, received: Callable[[bytes], None], lost: Callable[[BaseException | None], None]
    ) -> asyncio.WriteTransport:
        self.feed, self.hang_up = received, lost
        return cast("asyncio.WriteTransport", self.transport)

    def cut(self) -> None:
        self.was_cut = True

    @property
    def writes(self) -> list[bytes]:
        return self.transport.writes


def lane_on(wire: FakeWire, **options: Any) -> Lane:
    """
    A lane with budgets that are easy to reckon with.
    """
    facts: dict[str, Any] = {"budget": 1.0, "quiet_after": 0.2, "silence_limit": 5.0}
    return Lane(wire, **(facts | options))
