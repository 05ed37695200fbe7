"""
The life of a call: budget, attempts, a server, its breaker, its lane.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from dataclasses import dataclass
from random import Random
from typing import Any

from redis.exceptions import ReadOnlyError, ResponseError

from sahool_cache.address import Address
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost, judge
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.request import Batch, Blocking, Single
from sahool_cache.errors import (
    ClientClosedError,
    DeadlineExceededError,
    NoReplicaError,
    Verdict,
)
from sahool_cache.events import Events, SlowCommand
from sahool_cache.policy.deadline import Deadline
from sahool_cache.policy.retry import Repeat, Retry, RetryBudget
from sahool_cache.routing.router import ReadFrom, candidates
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import Dialler
from sahool_cache.wiring.fleet import PATIENCE, Fleet
from sahool_cache.wiring.reasons import check_permanent, master_unknown, too_late

__all__ = ["CallOptions", "Chain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """
    How one call is made: seconds in all, from whom reads may come, what may be repeated, and
    whether replies are decoded otherwise than the client does.
    """

    timeout: float
    read_from: ReadFrom
    retry: Repeat = "safe"
    flipped: bool = False


class Chain:
    """
    One client's whole machinery on one event loop. `run()` must be running for it to serve.
    """

    def __init__(
        self,
        settings: RedisSettings,
        dialler: Dialler,
        *,
        random: Random,
        events: Events,
    ) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.events = events
        self.fleet = Fleet(settings, dialler, random=random, events=events)
        self.retry = Retry(
            budget=RetryBudget(settings.retry_budget, self.now), judge=self._judge, random=random
        )
        self.closed = False
        self.slow_threshold = settings.slow_threshold or float("inf")
        self._random = random
        self._turn = 0

    async def send(
        self,
        request: Single | Batch,
        options: CallOptions,
        *,
        deadline: Deadline | None = None,
        fault: Exception | None = None,
    ) -> Any:
        """
        The reply, after as many attempts as budget and safety allow.

        `fault` is the failure of a first attempt that took the quick way.
        """
        deadline = deadline or Deadline(options.timeout)
        read_from = options.read_from

        async def attempt(request: Single | Batch, deadline: Deadline) -> Any:
            if request.needs_own:
                return await self._attempt_alone(request, deadline, read_from)
            lane = await self.lane(request.reads, read_from, deadline, steady=request.cursor)
            return request.checked(await deadline.wait(request.submit(lane), _no_reply))

        return await self.retry.run(request, attempt, deadline, options.retry, fault)

    async def _attempt_alone(
        self, request: Single | Batch, deadline: Deadline, read_from: ReadFrom
    ) -> Any:
        borrowed = await self.borrow(request.reads, read_from, deadline, urgent=request.urgent)
        try:
            if isinstance(request, Blocking) and deadline.left < request.left:
                # Its connection came too late: begun now, it would end in doubt.
                raise DeadlineExceededError(f"{request.name} found no connection in time")
            return request.checked(await deadline.wait(request.submit(borrowed.lane), _no_reply))
        except asyncio.CancelledError:
            self.fleet.unblock(borrowed)
            raise
        except ResponseError as reply:
            if borrowed.connection.evicted and str(reply).startswith("UNBLOCKED"):
                raise LaneLost("moved to the next master", sent=False) from reply
            raise
        finally:
            if isinstance(request, Single) and not request.spec.known:
                borrowed.cut("an unknown command may have changed it")
            else:
                borrowed.give_back()

    def _judge(self, fault: BaseException) -> Verdict:
        if isinstance(fault, ReadOnlyError):  # our master is none any more: find out at once
            self.fleet.watcher.suspect()
        return judge(fault)

    def here(self) -> bool:
        """
        Whether the running event loop is this chain's own.
        """
        return _get_running_loop() is self.loop

    def told(self, name: str, seconds: float) -> None:
        """
        Tells the observers of a call that was slow.
        """
        self.events.emit(SlowCommand(at=self.now(), command=name, seconds=seconds))

    def quick_reader(self) -> Lane | None:
        """
        The lane of a fit replica, the lighter of two neighbours in turn; None where none is.
        """
        readers = self.fleet.readers
        count = len(readers)
        if count < 2:
            return readers[0] if readers else None
        self._turn = turn = (self._turn + 1) % count
        one, other = readers[turn], readers[turn - 1]
        return one if one.in_flight <= other.in_flight else other

    async def lane(
        self, reads: bool, read_from: ReadFrom, deadline: Deadline, *, steady: bool = False
    ) -> Lane:
        """
        A lane that may take the call now; waits in line for one, or raises why none will come.

        `steady` asks for the same server each time, as long as it serves.
        """
        while True:
            for tier in candidates(reads=reads, read_from=read_from, topology=self.fleet.topology):
                lane = self._choose(tier, read_from, steady=steady)
                if lane is not None:
                    return lane
            await self._wait(reads, read_from, deadline)

    def steady_server(self, read_from: ReadFrom) -> Address | None:
        """
        The server that a scan would go to now.
        """
        topology = self.fleet.topology
        for tier in candidates(reads=True, read_from=read_from, topology=topology):
            for address in tier:
                if self.fleet.usable(address) is not None:
                    return address
        return None

    def _choose(
        self, tier: tuple[Address, ...], read_from: ReadFrom, *, steady: bool
    ) -> Lane | None:
        usable = [(address, self.fleet.usable(address)) for address in tier]
        lanes = [(address, lane) for address, lane in usable if lane is not None]
        if steady:
            return lanes[0][1] if lanes else None
        if len(lanes) > 2:
            lanes = self._random.sample(lanes, 2)
        if len(lanes) < 2:
            return lanes[0][1] if lanes else None
        self._random.shuffle(lanes)
        if read_from == "nearest":
            return min(lanes, key=lambda each: self.fleet.rtt(each[0]))[1]
        return min(lanes, key=lambda each: each[1].in_flight)[1]

    async def _wait(self, reads: bool, read_from: ReadFrom, deadline: Deadline) -> None:
        """
        Waits for a change, where waiting can help; otherwise raises why it cannot.
        """
        if self.closed:
            raise ClientClosedError("the client is closed")
        fleet = self.fleet
        if reads and read_from == "replica":
            self._check_replicas(deadline)
            await fleet.line.wait(deadline, at_most=1.0)
            return
        member = fleet.master
        if member is None:
            self._check_discovery(deadline)
            await fleet.line.wait(deadline)
            return
        check_permanent(member.node.fault, str(member.node.address))
        if deadline.passed:
            raise too_late(member)
        if deadline.at == float("inf"):  # asked to wait without end: also for a sick node
            await fleet.line.wait(deadline, at_most=1.0)
            return
        probing = member.breaker.admit()
        try:
            await fleet.line.wait(deadline)
        finally:
            if probing:
                member.breaker.release(probing)

    def _check_replicas(self, deadline: Deadline) -> None:
        fleet = self.fleet
        settled = fleet.rotation.checked.is_set() and not fleet.rotation.hurrying
        if deadline.passed or (settled and not fleet.topology.in_rotation):
            known = ", ".join(map(str, fleet.topology.replicas)) or "none"
            raise NoReplicaError(f"no replica is fit to be read (known: {known})")

    def _check_discovery(self, deadline: Deadline) -> None:
        watcher = self.fleet.watcher
        named = self.fleet.members.get(watcher.named)
        if named is not None:
            check_permanent(named.node.fault, str(named.node.address))
        links = watcher.links.values()
        misnamed = any(link.misnamed for link in links) and all(link.error for link in links)
        unknown_for = self.loop.time() - watcher.unknown_since
        if misnamed or deadline.passed or (watcher.rounds and unknown_for > PATIENCE):
            raise master_unknown(self.fleet)

    async def borrow(
        self,
        reads: bool,
        read_from: ReadFrom,
        deadline: Deadline,
        *,
        bare: bool = False,
        urgent: bool = False,
    ) -> Borrowed:
        """
        An exclusive connection to a server that may take the call; `bare` ones for redis-py's
        own readers, `urgent` ones also to a master that is silent. Raises like `lane`, and
        `DialFailed`.
        """
        member = self.fleet.master if urgent else None
        if member is None or not member.node.lanes:
            lane = await self.lane(reads, read_from, deadline)
            member = next(m for m in self.fleet.members if lane in m.node.lanes)
        pool = member.node.pool
        if pool is None:
            raise DialFailed("no exclusive connections here")
        try:
            async with asyncio.timeout_at(None if deadline.at == float("inf") else deadline.at):
                connection = await (pool.borrow_bare() if bare else pool.borrow())
        except DialFailed as fault:
            check_permanent(fault, str(member.node.address))
            raise
        except TimeoutError:
            raise DeadlineExceededError(
                f"no free connection to {member.node.address} within the budget",
                node=str(member.node.address),
            ) from None
        if not reads and connection.role != "master":
            connection.cut()
            pool.give_back(connection)
            self.fleet.watcher.suspect()
            raise DialFailed(f"{member.node.address} is no master any more")
        return Borrowed(member.node.address, pool, connection)


def _no_reply() -> Exception:
    return Expired("no reply within the budget")
