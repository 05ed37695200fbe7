"""
The background task that knows the master: it listens to every sentinel, and asks each as well.

Events are hints. What counts is the highest config-epoch among the sentinels' answers, and that
the server itself says it is a master; only then a new snapshot is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random

from sahool_cache.address import Address
from sahool_cache.background import Background
from sahool_cache.routing.announcement import Announcement, Meaning, read_announcement
from sahool_cache.routing.belief import Belief
from sahool_cache.routing.discovery import SentinelView
from sahool_cache.routing.fence import Fence
from sahool_cache.routing.listener import Listener
from sahool_cache.routing.pace import Pace
from sahool_cache.routing.roster import Roster
from sahool_cache.routing.sentinel_link import Channel, SentinelLink
from sahool_cache.routing.topology import Topology

__all__ = ["Watcher", "WatcherOptions"]

CHASE_FIRST, CHASE_CAP, CHASE_LIMIT = 0.005, 0.025, 4.0
SOON = 0.1
"""Seconds within which the events of a failover, a dozen, share one round of questions."""

UNFOUNDED_AFTER = 0.3
"""Seconds after which a fence must show in what the sentinels say of the master."""

DEFAULT_DOWN_AFTER = 5.0
"""Seconds; what the group's setting is taken for until a sentinel has told it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherOptions:
    """
    Whom to watch, and how closely; seconds.
    """

    name: str
    sentinels: tuple[Address, ...]
    reachable: Callable[[Address], Address]
    timeout: float = 0.3
    poll_interval: float = 5.0
    early_promotion: bool = True


class Watcher:
    """
    Publishes snapshots. `verify(address)` asks a server for its own role, and leaves a warm
    connection behind; `dial` opens a connection to a sentinel.
    """

    def __init__(
        self,
        options: WatcherOptions,
        *,
        dial: Callable[[Address], Awaitable[Channel]],
        verify: Callable[[Address], Awaitable[str | None]],
        listener: Listener,
        now: Callable[[], float],
        random: Random,
    ) -> None:
        self.topology = Topology(sentinels=options.sentinels)
        self.named: Address | None = None
        self.down_after = DEFAULT_DOWN_AFTER
        self.quorum = 0
        self.views: dict[Address, SentinelView] = {}
        self.rounds = 0
        self.unknown_since = now()
        self._fence = Fence(listener.on_fence, self._fence_lifted)
        self._roster = Roster(
            options.sentinels,
            name=options.name,
            dial=dial,
            reachable=options.reachable,
            timeout=options.timeout,
            random=random,
            heard=self._heard,
            on_state=self._link_changed,
        )
        self._options = options
        self._verify = verify
        self._listener = listener
        self._now = now
        self._tasks: Background | None = None
        self._hint = asyncio.Event()
        self._pace = Pace(every=options.poll_interval, now=now, random=random)
        self._chased: Address | None = None
        self._under_way = False
        self._reassuring = False
        self._soon: asyncio.TimerHandle | None = None
        self._belief = Belief(now)

    @property
    def fenced(self) -> bool:
        """
        Whether commands to the master are held.
        """
        return self._fence.up

    @property
    def links(self) -> dict[Address, SentinelLink]:
        """
        Every known sentinel's link.
        """
        return self._roster.links

    @property
    def failover_in_sight(self) -> bool:
        """
        Whether the sentinels are replacing the master, or hold it for down.
        """
        return self.fenced or any(view.failover_in_sight for view in self.views.values())

    @property
    def causes(self) -> dict[str, str]:
        """
        What each sentinel said, or why it said nothing.
        """
        return self._roster.causes(self.views)

    async def run(self) -> None:
        """
        Watches until cancelled.
        """
        try:
            async with Background() as tasks:
                self._tasks = tasks
                self._roster.start(tasks)
                while True:
                    self._hint.clear()
                    await self._round()
                    await self._pause(self._interval())
        finally:
            self._fence.cancel()
            if self._soon is not None:
                self._soon.cancel()

    def look(self) -> None:
        """
        Asks the sentinels now.
        """
        self._hint.set()

    def suspect(self) -> None:
        """
        Asks the sentinels now and often: the master gave cause for doubt.
        """
        if self._pace.doubt():
            self._hint.set()

    @property
    def _in_trouble(self) -> bool:
        return self._pace.doubtful or self.failover_in_sight or self.topology.provisional

    def _look_soon(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SOON, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self.look()

    def _interval(self) -> float:
        return self._pace.interval(
            urgent=self.topology.master is None or self.failover_in_sight,
            watchful=self.topology.provisional or not self._roster.listening,
            told=self._roster.listening,
        )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        except TimeoutError:
            pass

    def _link_changed(self, link: SentinelLink) -> None:
        self._listener.on_sentinel(link)
        self.look()  # what happened while nobody listened is learned by asking only

    async def _round(self) -> None:
        begun = self._now()
        await self._roster.ask(self._hint, self._decide, brief=self._in_trouble)
        if self._unfounded():
            self._fence.lift_if_older(begun - UNFOUNDED_AFTER, "no failover is under way")
        self._roster.learn(self.views)
        self.rounds += 1
        self._listener.on_round()

    def _unfounded(self) -> bool:
        """
        Whether nothing that the sentinels say is a reason for a fence. Once a failover has
        begun, all of them must have answered: its leader is the one that knows.
        """
        views = self.views.values()
        enough = (
            len(views) == len(self.links) if self._under_way else 2 * len(views) > len(self.links)
        )
        return enough and all(
            view.master == self.topology.master and not view.failover_in_sight for view in views
        )

    async def _decide(self, views: dict[Address, SentinelView]) -> None:
        self.views = views
        best = max(views.values(), key=lambda view: view.epoch)
        self.down_after, self.quorum = best.down_after, best.quorum
        self.named = best.master
        if best.master == self.topology.master and best.epoch >= self.topology.epoch:
            self._belief.settle()
            self._confirm(best)
            return
        # Whenever a server is asked, a promotion may be followed before it answers.
        current = self.topology
        doubtful = self._pace.doubtful or current.provisional
        if current.master is not None and doubtful and best.epoch <= current.epoch:
            disowned = await self._verify(current.master) == "replica"
            self._belief.disowned = disowned and self.topology is current
            current = self.topology
        if self._belief.supersedes(best, current, views, known=len(self.links)):
            if await self._verify(best.master) == "master" and self.topology is current:
                self._publish(
                    Topology(
                        master=best.master,
                        replicas=best.members,
                        sentinels=tuple(self.links),
                        epoch=best.epoch,
                    )
                )
            else:
                self.suspect()

    def _confirm(self, view: SentinelView) -> None:
        if self._pace.doubtful and not self._reassuring and self._tasks is not None:
            # Beside the round: a master that does not answer must not hold up what comes next.
            self._reassuring = True
            self._tasks.start(
                self._reassure, view.master, name=f"sahool_cache.check of {view.master}"
            )
        new = replace(
            self.topology,
            epoch=view.epoch,
            provisional=self.topology.provisional and view.epoch <= self.topology.epoch,
            replicas=view.members,
            sentinels=tuple(self.links),
        )
        if new != self.topology:
            self.topology = new
            self._listener.on_topology(new)

    async def _reassure(self, master: Address) -> None:
        try:
            role = await self._verify(master)
        finally:
            self._reassuring = False
        if role == "master" and master == self.topology.master and not self.failover_in_sight:
            self._pace.trust()

    def _publish(self, topology: Topology) -> None:
        self.topology = topology
        self._belief.settle()
        self._chased = None
        self._under_way = False
        self._listener.on_topology(topology)
        self._fence.lift("new master")
        self._pace.trust()

    def _fence_lifted(self, why: str) -> None:
        self._under_way = False
        self._listener.on_fence_lifted(why)

    def _heard(self, event: str, text: str) -> None:
        said = read_announcement(event, text, self._options.name, self._options.reachable)
        if said is not None:
            if said.meaning is not Meaning.LOOK:
                self._listener.on_announcement(said.event, said.node)
            self._act(said)

    def _act(self, said: Announcement) -> None:
        match said.meaning:
            case Meaning.SUSPECT:
                self.suspect()
            case Meaning.DOWN if said.node == self.topology.master:
                self.suspect()
                self._fence.put_up(said.event, crash=True)
            case Meaning.UNDER_WAY:
                self._under_way = True
                self.suspect()
            case Meaning.CHOSEN if said.node not in (None, self.topology.master):
                self._under_way = True
                self.suspect()
                self._fence.put_up(said.event, crash=False)
                if self._options.early_promotion:
                    self._chase(said.node)
            case Meaning.SWITCHED if self.topology.provisional or said.node != self.topology.master:
                self.look()
            case Meaning.ABORTED:
                self._chased = None
                self._under_way = False
                self._fence.lift(said.event)
                self._look_soon()
            case _:
                self._look_soon()

    def _chase(self, candidate: Address | None) -> None:
        """
        Asks the chosen replica for its role until it is master: 0.9 s before Sentinel tells.
        """
        if candidate is None or candidate == self._chased or self._tasks is None:
            return
        self._chased = candidate
        self._tasks.start(self._follow, candidate, name=f"sahool_cache.promotion of {candidate}")

    async def _follow(self, candidate: Address) -> None:
        give_up, pause = self._now() + CHASE_LIMIT, CHASE_FIRST
        while self._chased == candidate and self._now() < give_up:
            role = await self._verify(candidate)
            if self._chased == candidate and role == "master":
                self._publish(self.topology.promoted(candidate))
            else:
                await asyncio.sleep(pause)
                pause = min(CHASE_CAP, pause * 1.5)
        if self._chased == candidate:
            self._chased = None
