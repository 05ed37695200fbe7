"""
A server for a call: a lane that may take it now, a connection of its own, or why there is none.
"""

from __future__ import annotations

import asyncio
from random import Random

from sahool_cache.address import Address
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.lane import Lane
from sahool_cache.errors import (
    ClientClosedError,
    ConnectFailedError,
    DeadlineExceededError,
    NoReplicaError,
    UnavailableError,
)
from sahool_cache.policy.deadline import Deadline
from sahool_cache.routing.router import ReadFrom, candidates
from sahool_cache.wiring.fleet import PATIENCE, Fleet
from sahool_cache.wiring.reasons import check_crowd, check_permanent, master_unknown, too_late

__all__ = ["Servers"]


class Servers:
    """
    Chooses among the fleet's servers, and waits in line where waiting can help.
    """

    def __init__(self, fleet: Fleet, random: Random) -> None:
        self.closed = False
        self._fleet = fleet
        self._random = random

    async def lane(
        self, reads: bool, read_from: ReadFrom, deadline: Deadline, *, steady: bool = False
    ) -> Lane:
        """
        A lane that may take the call now; waits in line for one, or raises why none will come.

        `steady` asks for the same server each time, as long as it serves.
        """
        while True:
            for tier in candidates(reads=reads, read_from=read_from, topology=self._fleet.topology):
                lane = self._choose(tier, read_from, steady=steady)
                if lane is not None:
                    return lane
            await self._wait(reads, read_from, deadline)

    async def until_ready(self, deadline: Deadline) -> None:
        """
        Returns when the master can take commands; raises why it cannot within the budget.
        """
        while True:
            try:
                await self.lane(False, "master", deadline)  # noqa: FBT003
            except (ConnectFailedError, ClientClosedError):  # waiting does not mend it
                raise
            except UnavailableError:  # calls fail fast by now; who waits for it waits
                if deadline.passed:
                    raise
                await self._fleet.line.wait(deadline, at_most=0.1)
            else:
                return

    async def settled(self) -> None:
        """
        Returns when the group is connected, or when there is a reason why it is not.
        """
        deadline = Deadline(self._fleet.settings.command_timeout)
        try:
            await self.lane(False, "master", deadline)  # noqa: FBT003
        except UnavailableError:
            return
        if self._fleet.topology.replicas:
            while not (self._fleet.rotation.checked.is_set() or deadline.passed):
                await asyncio.sleep(0.005)

    def steady_server(self, read_from: ReadFrom) -> Address | None:
        """
        The server that a scan would go to now.
        """
        topology = self._fleet.topology
        for tier in candidates(reads=True, read_from=read_from, topology=topology):
            for address in tier:
                if self._fleet.usable(address) is not None:
                    return address
        return None

    def _choose(
        self, tier: tuple[Address, ...], read_from: ReadFrom, *, steady: bool
    ) -> Lane | None:
        usable = [(address, self._fleet.usable(address)) for address in tier]
        lanes = [(address, lane) for address, lane in usable if lane is not None]
        if steady:
            return lanes[0][1] if lanes else None
        if len(lanes) > 2:
            lanes = self._random.sample(lanes, 2)
        if len(lanes) < 2:
            return lanes[0][1] if lanes else None
        self._random.shuffle(lanes)
        if read_from == "nearest":
            return min(lanes, key=lambda each: self._fleet.rtt(each[0]))[1]
        return min(lanes, key=lambda each: each[1].in_flight)[1]

    async def _wait(self, reads: bool, read_from: ReadFrom, deadline: Deadline) -> None:
        """
        Waits for a change, where waiting can help; otherwise raises why it cannot.
        """
        if self.closed:
            raise ClientClosedError("the client is closed")
        fleet = self._fleet
        if reads and read_from == "replica":
            self._check_replicas(deadline)
            await fleet.line.wait(deadline, at_most=1.0)
            return
        member = fleet.master
        if member is None:
            self._check_discovery(deadline)
            await fleet.line.wait(deadline)
            return
        if not member.node.lanes:  # else it is the fault of one that was to be added
            check_permanent(member.node.fault, str(member.node.address))
        if deadline.passed:
            raise too_late(member)
        check_crowd(member.node.lanes, deadline)
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
        fleet = self._fleet
        settled = fleet.rotation.checked.is_set() and not fleet.rotation.hurrying
        if deadline.passed or (settled and not fleet.topology.in_rotation):
            known = ", ".join(map(str, fleet.topology.replicas)) or "none"
            raise NoReplicaError(f"no replica is fit to be read (known: {known})")

    def _check_discovery(self, deadline: Deadline) -> None:
        watcher = self._fleet.watcher
        named = self._fleet.members.get(watcher.named)
        if named is not None:
            check_permanent(named.node.fault, str(named.node.address))
        links = watcher.links.values()
        misnamed = any(link.misnamed for link in links) and all(link.error for link in links)
        unknown_for = self._fleet.now() - watcher.unknown_since
        if misnamed or deadline.passed or (watcher.rounds and unknown_for > PATIENCE):
            raise master_unknown(self._fleet)

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
        member = self._fleet.master if urgent else None
        if member is None or not member.node.lanes:
            lane = await self.lane(reads, read_from, deadline)
            member = next(m for m in self._fleet.members if lane in m.node.lanes)
        pool, address = member.node.pool, member.node.address
        if pool is None:
            raise DialFailed("no exclusive connections here")
        try:
            async with asyncio.timeout_at(None if deadline.at == float("inf") else deadline.at):
                connection = await (pool.borrow_bare() if bare else pool.borrow())
        except DialFailed as fault:
            check_permanent(fault, str(address))
            raise
        except TimeoutError:
            why = f"all {pool.size} are lent" if pool.full else "it does not greet"
            raise DeadlineExceededError(
                f"no free connection to {address} within the budget: {why}", node=str(address)
            ) from None
        if not reads and connection.role != "master":
            connection.cut()
            pool.give_back(connection)
            self._fleet.watcher.suspect()
            raise DialFailed(f"{address} is no master any more")
        fleet = self._fleet
        if not (reads or urgent) and (fleet.watcher.fenced or address != fleet.topology.master):
            pool.give_back(connection)  # while it waited for a place, a failover came near
            raise DialFailed(f"{address} is about to be replaced")
        return Borrowed(address, pool, connection)

    async def hold(self, deadline: Deadline, *, bare: bool = False) -> Borrowed:
        """
        An exclusive connection to the master for long; dialled again until the budget ends.
        Raises `UnavailableError`.
        """
        while True:
            try:
                return await self.borrow(False, "master", deadline, bare=bare)  # noqa: FBT003
            except DialFailed as fault:
                if deadline.passed:
                    raise ConnectFailedError(f"no connection of its own: {fault}") from fault
                await asyncio.sleep(min(0.02, deadline.left))
