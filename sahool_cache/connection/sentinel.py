"""
A connection to one sentinel: asked and listened to over the same RESP3 lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

from sahool_cache.connection.entries import Subscribed
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.packing import pack
from sahool_cache.connection.wire import Wire

__all__ = ["SentinelChannel"]


class SentinelChannel:
    """
    Questions and events of one sentinel. Everything raises `LaneLost` when it has gone.
    """

    def __init__(self, wire: Wire, *, timeout: float, lives: float = inf) -> None:
        self.role = wire.role
        self.lives = lives
        self._heard: Callable[[str, str], None] | None = None
        self._lane = Lane(
            wire,
            budget=timeout * 3,
            quiet_after=timeout,
            silence_limit=timeout * 3,
            on_push=self._pushed,
        )

    async def ask(self, commands: tuple[tuple[str, ...], ...]) -> list[Any]:
        """
        The replies in order, errors among them; one round trip.
        """
        if self._lane.lost is not None:
            raise LaneLost(self._lane.lost, sent=False)
        packed = [pack(command) for command in commands]
        return await self._lane.submit_group([b"".join(packed)], len(packed))

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        """
        Subscribes to all events; `heard(event, text)` is called for each, from now on.
        """
        self._heard = heard
        confirmed: asyncio.Future[None] = self._lane.submit_as(
            pack(("PSUBSCRIBE", "*")), Subscribed
        )
        await confirmed

    def _pushed(self, message: list[Any]) -> None:
        match message:
            case [b"pmessage", _, bytes() as event, bytes() as text] if self._heard is not None:
                self._heard(event.decode("utf-8", "replace"), text.decode("utf-8", "replace"))

    async def wait_lost(self) -> str:
        """
        Returns when the connection has ended, with the reason.
        """
        return await self._lane.wait_lost()

    def abort(self, why: str) -> None:
        """
        Cuts the connection.
        """
        self._lane.abort(why)
