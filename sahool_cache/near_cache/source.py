"""
One server as a source of replies that may be kept: a connection of its own, on which the server
tells what has changed.

Replies and invalidations come over the same connection, in the order in which things happened at
the server: a reply that was stale when it arrived is followed by the invalidation that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Literal, Protocol

import anyio
from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache.address import Address
from sahool_cache.connection.faults import judge
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.node import Node
from sahool_cache.connection.packing import pack
from sahool_cache.connection.wire import Wire
from sahool_cache.errors import Verdict
from sahool_cache.near_cache.calls import name_of
from sahool_cache.near_cache.fills import Fill, Fills
from sahool_cache.near_cache.store import Shelf, Store, fresh
from sahool_cache.settings import NearCacheSettings, RedisSettings

__all__ = ["ELSEWHERE", "Source"]

ELSEWHERE: Any = object()
"""Stands for a reply that has to be asked for in the usual way: it failed here."""

LOOKS, OFTEN = 4, 1.0
"""How often within `max_staleness`, or that many seconds, the server is asked whether it speaks."""

_PING = pack((b"PING",))
_TRACK = pack((b"CLIENT", b"TRACKING", b"ON"))


class Cache(Protocol):
    """
    What a source is part of.
    """

    @property
    def reads(self) -> int:
        """
        How often it was asked for anything.
        """
        ...

    def flushed(self, node: Address, why: str, entries: int) -> None:
        """
        Hears of what was forgotten all at once.
        """
        ...

    def missing(self, right: str) -> None:
        """
        Hears of a right that the server's ACL withholds.
        """
        ...


class Source:
    """
    Asks one server, and keeps what it says for as long as it may be trusted.

    The `shelf` is trusted while what is there is not older than `max_staleness`: the server is
    asked again and again whether it still speaks to us, and its answer comes behind every
    invalidation. A cache that nobody reads says nothing.
    """

    def __init__(
        self,
        address: Address,
        role: Literal["master", "replica"],
        *,
        store: Store,
        settings: RedisSettings,
        limits: NearCacheSettings,
        dial: Callable[[Address], Awaitable[Wire]],
        random: Random,
        cache: Cache,
    ) -> None:
        self.address = address
        self.role = role
        self.shelf = Shelf(store)
        self.entries = self.shelf.entries
        self.invalidations = 0
        self._limits = limits
        self._decode = settings.decode_responses
        self._cache = cache
        self._now = asyncio.get_running_loop().time
        self._tracking: Lane | None = None
        self._fills = Fills()
        self._ping: asyncio.Future[Any] | None = None
        self._pinged_at = 0.0
        self._scope = anyio.CancelScope()
        self.node = Node(
            address,
            dial=dial,
            options=LaneOptions(
                budget=settings.command_timeout,
                quiet_after=settings.quiet_after,
                silence_limit=settings.socket_timeout,
                max_age=settings.max_connection_age,
                on_push=self._pushed,
            ),
            random=random,
            on_change=self._on_node,
        )

    async def run(self) -> None:
        """
        Keeps the connection, and the trust in it, until it is closed.
        """
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.node.run, name=f"sahool_cache.near {self.address}")
                    tasks.start_soon(self._look, name=f"sahool_cache.trust {self.address}")
        finally:
            self.shelf.clear()  # untold: nothing was lost, the client is closed
            self.node.close("client closed")

    def close(self, why: str) -> None:
        """
        Ends the connection for good; who waits for a reply asks elsewhere.
        """
        self.flush(why)
        self.node.close(why)
        self._scope.cancel()

    def interrupt(self, why: str) -> None:
        """
        Ends the connection; the next one starts with nothing.
        """
        self.flush(why)
        self.node.abort(why)

    def flush(self, why: str) -> None:
        """
        Forgets all replies, also those that are on their way.
        """
        self._fills.clear()
        if entries := self.shelf.clear():
            self._cache.flushed(self.address, why, entries)

    def drop(self, name: str) -> bool:
        """
        Forgets what depends on that key, also what is on its way; whether there was anything.
        """
        coming = self._fills.drop(name)
        return self.shelf.drop(name) or coming

    def doubt(self) -> None:
        """
        Trusts nothing until the server has told all that it had to tell by now.
        """
        lane = self._tracking
        if lane is not None:
            self._fills.clear()
            self.shelf.trusted = 0.0
            self._hear(lane)

    def ask(
        self, probe: str | bytes, names: Sequence[str], packed: bytes
    ) -> asyncio.Future[Any] | None:
        """
        The future reply, or `ELSEWHERE`; one round trip, shared by all who ask meanwhile. None
        where there is no connection for it now. What is found by a `str` is decoded.
        """
        lane, now = self._tracking, self._now()
        if lane is None or not lane.usable:
            return None
        fill = self._fills.get(probe)
        if fill is None or now - fill.asked_at > self._limits.max_staleness:
            fill = Fill(probe, names, now)
            self._fills.add(fill)
            # Before the read: a key that lapsed between the two would be kept as if it had no end.
            lives = [
                lane.submit(pack((b"PTTL", name.encode("utf-8", "surrogateescape"))))
                for name in names
            ]
            reply = lane.submit(packed)
            reply.add_done_callback(partial(self._filled, fill, lane, lives))
        return fill.join()

    def _filled(
        self,
        fill: Fill,
        lane: Lane,
        lives: Sequence[asyncio.Future[Any]],
        reply: asyncio.Future[Any],
    ) -> None:
        value, current = ELSEWHERE, self._fills.forget(fill)
        try:
            faults = [future.exception() for future in (*lives, reply)]
            if faults[-1] is None:
                value = self._decoded(fill, reply.result())
            if not current or lane is not self._tracking or value is ELSEWHERE:
                return
            if any(isinstance(fault, NoPermissionError) for fault in faults):
                self._cache.missing("PTTL")
                self.close("the server does not say how long keys live")
            elif not any(faults):
                self._trust(fill.asked_at)
                left = [life.result() / 1000 for life in lives if life.result() >= 0]
                expires = fill.asked_at + min([self._limits.ttl, *left])
                self.shelf.keep(fill.probe, fill.names, value, expires)
        finally:  # whatever was wrong with it, nobody may wait for ever
            fill.end(value)

    def _decoded(self, fill: Fill, value: Any) -> Any:
        if fill.probe.__class__ is bytes:
            return value  # decoded each time, since each time it is copied
        try:
            return fresh(value, decode=self._decode)
        except UnicodeDecodeError:  # the usual way says so
            return ELSEWHERE

    def _pushed(self, message: list[Any]) -> None:
        if message[0] != b"invalidate":
            return
        if message[1] is None:
            self.flush("the server was emptied")
            return
        for key in message[1]:
            self.invalidations += self.drop(name_of(key))

    def _on_node(self, node: Node) -> None:
        lane = node.lanes[0] if node.lanes else None
        if self._tracking is not None and self._tracking is not lane:
            self._untrack(f"the connection was {'lost' if self._tracking.lost else 'replaced'}")
        if lane is None:
            return
        if lane.quiet:
            lane.release_reads()  # they are asked the usual way, which knows how to wait
        elif self._tracking is None:
            self._track(lane)

    def _track(self, lane: Lane) -> None:
        if lane.role != self.role:
            lane.abort(f"not a {self.role}")
            return
        self._tracking = lane
        lane.submit(_TRACK).add_done_callback(partial(self._tracked, lane, self._now()))

    def _untrack(self, why: str) -> None:
        self._tracking, self._ping, self.shelf.trusted = None, None, 0.0
        self.flush(why)

    def _tracked(self, lane: Lane, asked_at: float, done: asyncio.Future[Any]) -> None:
        fault = done.exception()
        if lane is not self._tracking:
            pass
        elif fault is None:
            self._trust(asked_at)
        elif not isinstance(fault, ResponseError):
            lane.abort("it is not known whether the server says what changes")
        elif judge(fault) is Verdict.REFUSED:
            self._cache.missing("CLIENT TRACKING")
            self.close("the server does not say what changes")
        else:  # a script keeps it busy: `_look` asks again
            self._untrack("the server does not say yet what changes")

    def _trust(self, asked_at: float) -> None:
        self.shelf.trusted = max(self.shelf.trusted, asked_at + self._limits.max_staleness)

    async def _look(self) -> None:
        patience, seen = self._limits.max_staleness, -1
        while True:
            await asyncio.sleep(min(patience, OFTEN) / LOOKS)
            lane = self._tracking
            if lane is None:
                self._on_node(self.node)
            elif self._ping is not None:
                if self._now() - self._pinged_at > patience:
                    self.interrupt("a ping went unanswered")
            elif self._cache.reads != seen:
                seen = self._cache.reads
                self._hear(lane)

    def _hear(self, lane: Lane) -> None:
        self._pinged_at = self._now()
        self._ping = lane.submit(_PING)
        self._ping.add_done_callback(partial(self._answered, self._pinged_at))

    def _answered(self, asked_at: float, done: asyncio.Future[Any]) -> None:
        fault = done.exception()
        if done is self._ping:  # else one who doubted it has sent another since
            self._ping = None
            if fault is None or isinstance(fault, ResponseError):
                self._trust(asked_at)
