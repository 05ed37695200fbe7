"""
Every server of the group, each with its breaker, following what the watcher publishes.

All decisions here are synchronous; I/O happens in the nodes' and the watcher's own tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from redis.exceptions import NoPermissionError

from sahool_cache.address import Address
from sahool_cache.background import Background
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.node import Node
from sahool_cache.connection.packing import pack
from sahool_cache.events import (
    BreakerChanged,
    FenceLifted,
    FenceRaised,
    LaneTiming,
    MasterChanged,
    RotationChanged,
    TopologyConfirmed,
)
from sahool_cache.observers import Events
from sahool_cache.policy.line import WaitingLine
from sahool_cache.routing.rotation import Rotation
from sahool_cache.routing.sentinel_link import SentinelLink
from sahool_cache.routing.topology import Topology
from sahool_cache.routing.watcher import Watcher, WatcherOptions
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.bulletin import Bulletin
from sahool_cache.wiring.dialling import Dialler
from sahool_cache.wiring.members import Member, Members
from sahool_cache.wiring.turn import Turn

__all__ = ["PATIENCE", "Fleet"]

PATIENCE = 1.5
"""Seconds beyond the group's down-after during which a failover may still come."""

DRAIN = 0.05
"""Seconds for what is in flight to finish when a fence is raised before a planned failover."""

SETTLES = 3.0
"""Seconds after a switch within which the other replicas are expected to follow."""


class Fleet:
    """
    The group as it can be used now. `hot` is the master's lane when nothing at all is wrong,
    `turn` has the lanes of replicas that are fit; both empty otherwise, and then the slow way finds
    out why. `line` is where calls wait for a change.
    """

    def __init__(
        self,
        settings: RedisSettings,
        dialler: Dialler,
        *,
        random: Random,
        events: Events,
        on_pulse: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.now: Callable[[], float] = self._loop.time
        self.settings = settings
        self.events = events
        self.hot: Lane | None = None
        self.turn = Turn()
        self.line = WaitingLine(settings.max_waiting)
        self.on_refresh: Callable[[], None] = lambda: None
        self.nodes_beside: Callable[[], Iterable[Node]] = tuple
        self.failovers = 0
        self.last_failover: MasterChanged | None = None
        self._tasks: Background | None = None
        self._beside: list[tuple[Callable[[], Coroutine[Any, Any, None]], str]] = []
        self._hot_lost_at: float | None = None
        self._bulletin = Bulletin(events, self.now)
        self._fenced_at: float | None = None
        self.members = Members(
            settings,
            dialler,
            random=random,
            now=self.now,
            on_node=self._on_node,
            on_flush=self._on_flush,
            on_breaker=self._on_breaker,
        )
        self.watcher = Watcher(
            WatcherOptions(
                name=settings.master_name,
                sentinels=settings.sentinels,
                reachable=settings.reachable,
                timeout=settings.sentinel_timeout,
                poll_interval=settings.poll_interval,
                early_promotion=settings.early_promotion,
            ),
            dial=dialler.sentinel,
            verify=self._verify,
            listener=self,
            now=self.now,
            random=random,
        )
        self.rotation = Rotation(
            ask=self._ask,
            reachable=settings.reachable,
            max_lag=settings.max_replica_lag,
            on_change=self._on_rotation,
            on_missing=self._bulletin.rights.missing,
            on_checked=on_pulse,
            now=self.now,
            random=random,
        )
        self.topology: Topology = self.watcher.topology

    async def run(self) -> None:
        """
        Runs every background task until cancelled, then cuts every connection.
        """
        try:
            async with Background() as tasks:
                self._tasks = tasks
                self.members.start(tasks)
                tasks.start(self.watcher.run, name="sahool_cache.watcher")
                tasks.start(self.rotation.run, name="sahool_cache.rotation")
                for run, name in self._beside:
                    tasks.start(run, name=name)
        finally:
            self._tasks = None
            self.hot = None
            self.turn.among(())
            self.members.close()
            self.line.wake()

    def nodes(self) -> Iterator[Node]:
        """
        Every server in use; one of which the near cache keeps replies comes twice.
        """
        yield from (member.node for member in self.members)
        yield from self.nodes_beside()

    @property
    def master(self) -> Member | None:
        """
        The current master, once it is known.
        """
        return self.members.get(self.topology.master)

    def usable(self, address: Address) -> Lane | None:
        """
        A lane to that server on which a call can be written now.
        """
        member = self.members.get(address)
        if member is None or not member.breaker.quick:
            return None
        if address == self.topology.master and (
            self.watcher.fenced or member.node.role != "master"
        ):
            return None
        return member.node.pick()

    def rtt(self, address: Address) -> float:
        """
        The measured round trip to that server in seconds; 0 where none was measured yet.
        """
        member = self.members.get(address)
        return (member.node.rtt or 0.0) if member is not None else 0.0

    def unblock(self, borrowed: Borrowed) -> None:
        """
        Ends the wait of a connection whose caller has gone: what this client pushes next, over
        the same lane as this, must not be popped for nobody.
        """
        member = self.members.get(borrowed.node)
        if member is not None and borrowed.connection.client_id is not None:
            member.node.unblock([borrowed.connection.client_id], self._unblocked)

    def _unblocked(self, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and isinstance(done.exception(), NoPermissionError):
            self.right_missing("CLIENT UNBLOCK")

    @property
    def settling(self) -> bool:
        """
        Whether the master is so new that its replicas are still to come.
        """
        if self.topology.provisional:
            return True
        last = self.last_failover
        recent = last is not None and self.now() - last.at < SETTLES
        return self.rotation.confirming == 0 and (recent or self.rotation.syncing)

    def timings(self) -> list[LaneTiming]:
        """
        How each server answers at this moment.
        """
        return [self._bulletin.timing(member) for member in self.members]

    def patient(self, member: Member) -> bool:
        """
        Whether a failover that would mend this node is in sight, or may still come.
        """
        down_since = member.node.down_since
        may_come = down_since is None or (
            self.now() - down_since < self.watcher.down_after + PATIENCE
        )
        answering, known = len(self.watcher.views), len(self.watcher.links)
        return may_come or (self.watcher.failover_in_sight and 2 * answering > known)

    async def _verify(self, address: Address) -> str | None:
        role = await self.members.ensure(address).node.ask_role(self.settings.sentinel_timeout)
        self.refresh()
        return role

    async def _ask(self, address: Address, question: tuple[str, ...]) -> Any:
        member = self.members.get(address)
        if member is None:
            raise ConnectionError(f"{address} is not known")
        try:
            return await member.node.ask(pack(question))
        except ConnectionError:
            raise
        except Exception as error:
            if hasattr(error, "status_code"):
                raise
            raise ConnectionError(str(error)) from error

    def on_topology(self, new: Topology) -> None:
        """
        Follows the watcher's new snapshot: cuts the old master, opens what is new.
        """
        old, self.topology = self.topology, new
        if new.master != old.master and new.master is not None:
            self._switch(old, new, new.master)
        elif old.provisional and not new.provisional and new.master is not None:
            self._bulletin.tell(TopologyConfirmed, master=new.master, epoch=new.epoch)
        for address in (new.master, *new.replicas):
            if address is not None:
                self.members.ensure(address)
        self.members.retire_all_but({new.master, self.watcher.named, *new.replicas})
        self.rotation.follow(new.master, new.replicas)
        self.topology = replace(self.topology, in_rotation=self.rotation.fit)
        self.refresh()

    def _switch(self, old: Topology, new: Topology, master: Address) -> None:
        left = self.members.get(old.master)
        draining = self._fenced_at is not None and self.now() - self._fenced_at < DRAIN
        if left is not None and not draining:
            left.node.abort("no longer the master")
        self.members.ensure(master).breaker.reset()
        since = self._hot_lost_at
        event = MasterChanged(
            at=self.now(),
            old=old.master,
            new=master,
            epoch=new.epoch,
            provisional=new.provisional,
            outage=None if since is None or old.master is None else self.now() - since,
        )
        if old.master is not None:
            self.failovers += 1
            self.last_failover = event
        self.events.emit(event)

    def on_fence(self, why: str, crash: bool) -> None:
        """
        Holds what is new; gives what is in flight a moment, unless the master has crashed.
        """
        member = self.master
        self._fenced_at = None if crash else self.now()
        self.refresh()
        if member is None or self._tasks is None:
            return
        self._bulletin.tell(FenceRaised, master=member.node.address, why=why)
        if member.committer is not None:
            member.committer.release("held for a failover")
        if crash:
            member.node.abort(f"held for down ({why})")
        else:
            self._tasks.start(self._drain, member.node, name="sahool_cache.drain")

    async def _drain(self, node: Node) -> None:
        give_up = self.now() + DRAIN
        while self.now() < give_up:
            # Again and again: a wait that left before the fence may arrive after this.
            waiting = node.pool.evict_waiting() if node.pool is not None else []
            if not waiting and not node.in_flight:
                break
            node.unblock(waiting, self._unblocked)
            await asyncio.sleep(0.005)
        # The promoted one may have taken over meanwhile, or the fence may have fallen.
        if self.watcher.fenced or node.address != self.topology.master:
            node.abort("fenced for a failover")

    def on_fence_lifted(self, why: str) -> None:
        """
        Lets calls flow again.
        """
        self._fenced_at = None
        self._bulletin.tell(FenceLifted, why=why)
        self.refresh()

    def on_announcement(self, event: str, node: Address | None) -> None:
        """
        Tells what a sentinel said.
        """
        self._bulletin.announcement(event, node)

    def on_sentinel(self, link: SentinelLink) -> None:
        """
        Tells of a sentinel that came or went.
        """
        self._bulletin.sentinel(link)

    def on_round(self) -> None:
        """
        Lets those who wait for a master look again: there may be a reason to give up. Tells what
        the sentinels refused to say.
        """
        self._bulletin.rights_of(self.watcher.links.values())
        if self.hot is None:
            self.line.wake()

    def _on_breaker(self, address: Address, state: str) -> None:
        self._bulletin.tell(BreakerChanged, node=address, state=state)
        self.refresh()
        self.line.wake()

    def _on_rotation(self, fit: tuple[Address, ...]) -> None:
        self.topology = replace(self.topology, in_rotation=fit)
        self._bulletin.tell(RotationChanged, in_rotation=fit)
        self.refresh()

    def _on_node(self, node: Node) -> None:
        member = self.members.get(node.address)
        if member is None:
            return
        if node.lanes:
            member.breaker.succeeded()
        elif node.fault is not None and not self.patient(member):
            member.breaker.failed()
        if self._bulletin.node(member):
            self.rotation.distrust(node.address)
        if node.address == self.topology.master:
            if not node.lanes or node.quiet or node.role != "master":
                self.watcher.suspect()
            if node.fault is not None and node.fault.permanent:
                self.line.wake()
        self.refresh()
        if node.quiet and node.address != self.topology.master and (self.turn.lanes or self.hot):
            for lane in node.lanes:
                lane.release_reads()

    def _on_flush(self, node: Node) -> None:
        """
        Takes the lightest for the next tick: one write for all of a tick is what is quick.
        """
        lane = node.pick()
        if lane is None or self.hot is None:
            return
        if node.address == self.topology.master:
            self.hot = lane
        elif readers := self.turn.lanes:
            self.turn.among(tuple(lane if each in node.lanes else each for each in readers))

    def refresh(self) -> None:
        """
        Works out again which lanes serve, and lets those who wait look again if that changed.
        """
        master = self.topology.master
        hot = self.usable(master) if master is not None else None
        lanes = (self.usable(address) for address in self.topology.in_rotation)
        readers = tuple(lane for lane in lanes if lane is not None)
        if hot is None and self.hot is not None:
            self._hot_lost_at = self.now()
        elif hot is not None:
            self._hot_lost_at = None
        if hot is not self.hot or readers != self.turn.lanes:
            self.hot = hot
            self.turn.among(readers)
            self.line.wake()
        self.on_refresh()

    def run_beside(self, run: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        """
        Runs a background task with the others, once they run.
        """
        if self._tasks is None:
            self._beside.append((run, name))
        else:
            self._tasks.start(run, name=name)

    def right_missing(self, right: str) -> None:
        """
        Tells, once, of a right that the server's ACL withholds.
        """
        self._bulletin.rights.missing(right)
