"""
One server: its lanes, kept open by one task, and its pool of exclusive connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from sahool_cache.address import Address
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost
from sahool_cache.connection.figures import LaneOptions, NodeStats
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.packing import pack
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.turnover import Turnover
from sahool_cache.connection.wire import Wire

__all__ = ["Node", "lightest"]

BACKOFF_FIRST, BACKOFF_CAP = 0.005, 0.25
"""Seconds between two attempts to connect; each is shortened at random by up to a half."""

SPREAD = 0.015
"""Seconds over which the clients of one server come back, that were cut off all at once."""

_HELLO = pack((b"HELLO", b"3"))


class Node:
    """
    One server. `run()` keeps its lanes open until it is cancelled.

    `may_dial()` says how many seconds to hold off before the next attempt, `on_change(node)`
    is told of everything that changes whether the node can be used, `on_flush(node)` of the end
    of a tick in which something was written, where there are several lanes.
    """

    def __init__(
        self,
        address: Address,
        *,
        dial: Callable[[Address], Awaitable[Wire]],
        options: LaneOptions,
        random: Random,
        pool: ExclusivePool | None = None,
        may_dial: Callable[[], float] = lambda: 0.0,
        on_change: Callable[[Node], None] = lambda _node: None,
        on_flush: Callable[[Node], None] = lambda _node: None,
    ) -> None:
        self.address = address
        self.pool = pool
        self.lanes: list[Lane] = []
        self.fault: DialFailed | None = None
        self.down_since: float | None = None
        self.rtt: float | None = None
        self.closed = False
        self.dials = 0
        self._answered = 0
        self._short_lived = 0
        self._cut_off = False
        self._dial = dial
        self._options = options
        self._random = random
        self._may_dial = may_dial
        self._on_change = on_change
        self._on_flush = on_flush
        self._nudged = asyncio.Event()
        self._dialling: asyncio.Timeout | None = None
        self._changed: list[asyncio.Future[None]] = []
        self.turnover = Turnover(options.max_age, random)

    def __repr__(self) -> str:
        state = "up" if self.lanes else "down"
        return f"<Node {self.address} {self.role or '?'} {state} lanes={len(self.lanes)}>"

    @property
    def role(self) -> str | None:
        """
        ``master`` or ``replica`` as last heard; None while no connection stands.
        """
        return self.lanes[0].role if self.lanes else None

    @property
    def quiet(self) -> bool:
        """
        Whether replies are due and the server is silent.
        """
        return any(lane.quiet for lane in self.lanes)

    @property
    def in_flight(self) -> int:
        """
        How many replies it owes, exclusive connections aside.
        """
        return sum(lane.in_flight for lane in self._all_lanes())

    def _all_lanes(self) -> tuple[Lane, ...]:
        return (*self.lanes, *self.turnover.leaving)

    def pick(self) -> Lane | None:
        """
        The usable lane with the fewest commands in flight, and no long reply before them. While
        one of them waits in silence, only those on which the server has spoken since.
        """
        silent = max((lane.quiet_since for lane in self.lanes if lane.quiet), default=-1.0)
        usable = [lane for lane in self.lanes if lane.usable and lane.heard_at > silent]
        return lightest(usable)

    def _flushed(self, _lane: Lane) -> None:
        self._on_flush(self)

    async def run(self) -> None:
        """
        Opens lanes, and opens them again, one attempt at a time for all who wait.
        """
        failures = 0
        rested = False
        while not self.closed:
            self._nudged.clear()
            self.turnover.cut_drained()
            if self.pool is not None:
                self.pool.cut_spent()
            if len(self.lanes) >= self._options.count and not self.turnover.due(self.lanes):
                await self._pause(self.turnover.pause(self.lanes))
                continue
            hold = self._may_dial()
            if hold == 0 and not rested:
                hold, rested = self._backoff(max(failures, self._short_lived - 1)), True
            if hold > 0:
                await self._pause(hold)
                continue
            rested = False
            failures = 0 if await self._open_lane() else failures + 1

    def _backoff(self, setbacks: int) -> float:
        """
        Seconds to the next attempt: next to none after a loss, more after every failed one. A
        server that greets and hangs up at once counts as one that does not answer.
        """
        if setbacks <= 0:
            return SPREAD * self._random.random() if self._cut_off else 0.0
        delay = min(BACKOFF_CAP, BACKOFF_FIRST * 2.0 ** min(setbacks - 1, 16))
        return delay * (1 - self._random.random() / 2)

    async def _open_lane(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            self.dials += 1
            async with asyncio.timeout(None) as self._dialling:
                wire = await self._dial(self.address)
            lane = Lane(
                wire,
                budget=self._options.budget,
                quiet_after=self._options.quiet_after,
                silence_limit=self._options.silence_limit,
                decode=self._options.decode,
                on_push=self._options.on_push,
                on_change=self._lane_changed,
            )
            if self._options.count > 1:
                lane.on_flush = self._flushed
        except (DialFailed, OSError) as error:  # TimeoutError, when abort() ended it, is one
            fault = error if isinstance(error, DialFailed) else DialFailed(str(error) or "cut")
            self.fault = fault
            if self.down_since is None and not self.lanes:
                self.down_since = loop.time()
            self._tell()
            return False
        finally:
            self._dialling = None
        if self.closed:
            lane.abort("node retired")
            return False
        self.turnover.opened(lane)
        old = self.turnover.due(self.lanes)
        self.lanes.append(lane)
        if old is not None:
            self.lanes.remove(old)
            self.turnover.leave(old)
        self._cut_off = False
        self.fault = self.down_since = None
        self._tell()
        return True

    async def _pause(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            pass

    def hurry(self) -> None:
        """
        Ends a pause between two attempts to connect.
        """
        self._nudged.set()

    def _lane_changed(self, lane: Lane) -> None:
        if lane in self.turnover.leaving and lane.quiet and lane.role == "replica":
            lane.release_reads()
        if lane.lost is not None and self.turnover.lost(lane):
            self._answered += lane.answered
        if lane.lost is not None and lane in self.lanes:
            self.lanes.remove(lane)
            self._answered += lane.answered
            self._cut_off = True
            for idle in [each for each in self.lanes if lane.quiet and not each.in_flight]:
                if idle.heard_at <= lane.quiet_since:  # nobody knows whether it would be answered
                    idle.abort(lane.lost)
            lived = asyncio.get_running_loop().time() - lane.opened_at
            served = lane.answered or lived > BACKOFF_CAP
            self._short_lived = 0 if served else self._short_lived + 1
            if not self.lanes and self.down_since is None:
                self.down_since = asyncio.get_running_loop().time()
            self.hurry()
        self._tell()

    def _tell(self) -> None:
        waiters, self._changed = self._changed, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._on_change(self)

    async def _change(self) -> None:
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.append(changed)
        await changed

    async def ask_role(self, timeout: float) -> str | None:
        """
        The role that the server itself states now, or None where it does not answer in time.

        One round trip by HELLO, or the greeting of a new connection where none stands.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self.closed:
                    if not self.lanes:
                        self.hurry()
                        await self._change()
                        if self.lanes:
                            return self.role  # greeted just now
                        if self.fault is not None:
                            return None
                        continue
                    return await self._ask_role_of(self.lanes[0])
        except TimeoutError:
            pass
        return None

    async def _ask_role_of(self, lane: Lane) -> str | None:
        try:
            reply = await self.ask(_HELLO, lane)
        except (LaneLost, Expired):
            return None if self.closed else await self.ask_role(1.0)
        except Exception:  # noqa: BLE001  # an error reply: HELLO is refused; the greeting has to do
            return lane.role
        told = reply if isinstance(reply, dict) else {}
        role = told.get("role", told.get(b"role"))
        lane.role = role.decode("utf-8", "replace") if isinstance(role, bytes) else role
        for other in self.lanes:  # it is the server's
            other.role = lane.role
        return lane.role

    async def ask(self, packed: bytes, lane: Lane | None = None) -> Any:
        """
        The reply to a question of our own; it measures the round trip. Raises `LaneLost`.
        """
        loop = asyncio.get_running_loop()
        if lane is None:
            while not self.lanes and self.fault is None and not self.closed:
                await self._change()  # the first connection is under way
            if not self.lanes:
                raise LaneLost("not connected", sent=False)
            lane = self.lanes[0]
        idle, asked = not lane.in_flight, loop.time()
        reply = await lane.submit(packed)
        if idle:
            took = loop.time() - asked
            self.rtt = took if self.rtt is None else 0.8 * self.rtt + 0.2 * took
        return reply

    def unblock(
        self,
        clients: list[int],
        answered: Callable[[asyncio.Future[Any]], object] = lambda done: (
            done.cancelled() or done.exception()
        ),
    ) -> None:
        """
        Asks the server to end these connections' blocked waits with -UNBLOCKED: then it is
        certain that nothing was popped, and the wait may go on elsewhere. `answered` is told of
        each answer.
        """
        for lane in self.lanes:  # on each, to be sure that it is there before what comes next
            for client_id in clients:
                asked = lane.submit(pack((b"CLIENT", b"UNBLOCK", str(client_id), b"ERROR")))
                asked.add_done_callback(answered)

    def abort(self, why: str) -> None:
        """
        Cuts every connection to this server at once, also lent and half-open ones.
        """
        if self._dialling is not None and not self._dialling.expired():
            self._dialling.reschedule(0)
        for lane in self._all_lanes():
            lane.abort(why)
        if self.pool is not None:
            self.pool.abort(why)

    def close(self, why: str) -> None:
        """
        Cuts everything for good.
        """
        self.closed = True
        self.hurry()
        self.abort(why)
        if self.pool is not None:
            self.pool.close(why)

    async def drain(self, seconds: float) -> None:
        """
        Lets what is in flight finish, for at most that long.
        """
        give_up = asyncio.get_running_loop().time() + seconds
        while self.in_flight and asyncio.get_running_loop().time() < give_up:
            await asyncio.sleep(0.002)

    def stats(self) -> NodeStats:
        """
        The server's figures now.
        """
        return NodeStats(
            address=self.address,
            role=self.role,
            lanes=len(self.lanes),
            in_flight=self.in_flight,
            answered=self._answered + sum(lane.answered for lane in self._all_lanes()),
            quiet=self.quiet,
            exclusive=self.pool.in_use if self.pool else 0,
            rtt=self.rtt,
            fault=str(self.fault) if self.fault else None,
            dials=self.dials,
        )


def lightest(lanes: Sequence[Lane]) -> Lane | None:
    """
    The one with the fewest commands in flight, and no long reply before them.
    """
    return min(lanes, key=lambda lane: (lane.bulk, lane.in_flight), default=None)
