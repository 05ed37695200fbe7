"""
Whatever sentinels and servers say in whatever order: the watcher's snapshots keep to their order,
and name only servers that call themselves master.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sahool_cache.address import Address
from sahool_cache.routing.belief import DISSENT_LASTS
from sahool_cache.routing.topology import Topology
from tests.unit.clock import play
from tests.unit.watchers import OLD, SENTINELS, SERVERS, THIRD, Case, watching

SERVER = st.sampled_from(SERVERS)
SENTINEL = st.sampled_from(SENTINELS)
SOME = st.sets(SENTINEL, min_size=1).map(lambda chosen: tuple(sorted(chosen)))
FLAGS = st.sampled_from(
    ("master", "master", "s_down,master", "s_down,o_down,master", "master,failover_in_progress")
)


EVENTS = st.sampled_from(
    (
        *("+selected-slave", "+selected-slave", "+promoted-slave", "+slave", "+switch-master"),
        *("+sdown", "+odown", "-odown", "+try-failover", "-failover-abort-slave-timeout"),
    )
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("name"), SOME, SERVER, st.integers(-2, 1), FLAGS),
        st.tuples(st.just("name"), st.just(SENTINELS), SERVER, st.integers(-2, 1), FLAGS),
        st.tuples(st.just("role"), SERVER, st.sampled_from(("master", "replica", None))),
        st.tuples(st.just("promote"), SERVER),
        st.tuples(st.just("promote"), SERVER),
        st.tuples(st.just("say"), SOME, EVENTS, SERVER),
        st.tuples(st.just("say"), SOME, EVENTS, SERVER),
        st.tuples(st.just("slow"), SERVER | SENTINEL, st.sampled_from((0.0, 0.01, 0.1, 0.25))),
        st.tuples(st.just("trouble"), SENTINEL, st.sampled_from(("die", "hang", "mend"))),
        st.tuples(st.just("doubt")),
        st.tuples(st.just("sleep"), st.sampled_from((0.001, 0.01, 0.1, 0.5, 2.0, 6.0))),
        st.tuples(st.just("sleep"), st.sampled_from((0.01, 0.1, 0.5))),
    ),
    min_size=10,
    max_size=40,
)
LAST = 100
"""An epoch that is newer than all others."""


def words(event: str, server: Address, master: Address) -> str:
    """
    The event's text, as a sentinel words it.
    """
    if event == "+switch-master":
        return f"m {master.host} {master.port} {server.host} {server.port}"
    if "slave" in event and "abort" not in event:
        return f"slave {server} {server.host} {server.port} @ m {master.host} {master.port}"
    return f"master m {master.host} {master.port}"


class Story(Case):
    """
    A group that says what it is told to, and a listener that judges each snapshot as it comes.
    """

    def __init__(self, met: Counter[str]) -> None:
        super().__init__()
        self.met = met
        self.slow: dict[Address, float] = {}
        self.said: dict[Address, str | None] = {}
        self.disowned: set[Address] = set()
        self.since = 0.0
        self.wrong: list[AssertionError] = []

    async def verify(self, address: Address) -> str | None:
        role = self.roles.get(address)
        await asyncio.sleep(self.slow.get(address, 0.0))
        self.said[address] = role
        if role == "replica":
            self.disowned.add(address)
        return role

    async def step(self, act: str, *facts: Any) -> None:
        match act, *facts:
            case "name", chosen, master, later, flags:
                self.name(master, epoch=max(self.watcher.topology.epoch + later, 0), by=chosen)
                for address in chosen:
                    self.group.at[address].flags = flags
            case "role", server, role:
                self.roles[server] = role
            case "promote", server:
                self.promote(server)
            case "say", chosen, event, server:
                self.say(event, words(event, server, self.watcher.topology.master or OLD), chosen)
            case "slow", address, seconds if address in SERVERS:
                self.slow[address] = seconds
            case "slow", address, seconds:
                self.group.at[address].slow = seconds
            case "trouble", address, trouble:
                sentinel = self.group.at[address]
                sentinel.down, sentinel.hung = trouble == "die", trouble == "hang"
                if trouble == "die":
                    sentinel.die()
            case ("doubt",):
                self.watcher.suspect()
            case "sleep", seconds:
                await asyncio.sleep(seconds)

    def mend(self) -> None:
        """
        All is well from now on, and nobody tells.
        """
        for sentinel in self.group.at.values():
            sentinel.down, sentinel.hung, sentinel.slow = False, False, 0.0
        self.slow.clear()
        self.promote(THIRD)
        self.name(THIRD, epoch=LAST)

    def on_topology(self, new: Topology) -> None:
        old = self.published[-1] if self.published else Topology()
        super().on_topology(new)
        now = asyncio.get_running_loop().time()
        try:
            self.met[self.judge(old, new, now - self.since)] += 1
        except AssertionError as error:  # it must not end the watcher
            self.wrong.append(error)
        if new.master != old.master:
            self.since = now
            self.disowned.clear()

    def judge(self, old: Topology, new: Topology, lasted: float) -> str:
        assert new.master is not None
        assert new.master not in new.replicas
        if new.master == old.master:
            assert new.order >= old.order or self.is_set_up_anew(old, new, lasted), (old, new)
            assert new.provisional <= old.provisional
            return "confirmed" if new.provisional < old.provisional else "same master"
        assert self.said[new.master] == "master"
        if old.master is None:
            return "first"
        if new.provisional:
            assert new.epoch == old.epoch
            assert (old.epoch, False) < new.order < (old.epoch + 1, False)
            return "promoted"
        if new.epoch > old.epoch:
            return "switched"
        assert self.is_set_up_anew(old, new, lasted), (old, new)
        return "set up anew"

    def is_set_up_anew(self, old: Topology, new: Topology, lasted: float) -> bool:
        """
        The one exception, as `Belief` and docs/how-it-works.md tell it.
        """
        views = self.watcher.views.values()
        known = len(self.watcher.links)
        agreed = {(view.master, view.epoch) for view in views} == {(new.master, new.epoch)}
        everybody = len(views) == known and not old.provisional
        calm = not any("failover_in_progress" in view.flags for view in views)
        return (
            agreed
            and 2 * len(views) > known
            and (everybody or old.master in self.disowned or (calm and lasted >= DISSENT_LASTS))
        )


def test_snapshots_keep_their_order_and_name_only_who_says_master() -> None:
    met: Counter[str] = Counter()

    @settings(
        max_examples=250,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(STEPS, st.sampled_from((True, True, False)))
    def keep(steps: list[tuple[Any, ...]], early: bool) -> None:
        async def scenario() -> None:
            story = Story(met)
            async with watching(story, early_promotion=early):
                for act, *facts in steps:
                    await story.step(act, *facts)
                story.mend()
                await asyncio.sleep(10)
                end = story.watcher.topology
                assert (end.master, end.epoch, end.provisional) == (THIRD, LAST, False)
                assert not story.watcher.fenced
                assert not story.wrong, story.wrong[0]

        play(scenario())

    keep()
    kinds = {"first", "same master", "promoted", "confirmed", "switched", "set up anew"}
    assert met.keys() >= kinds, met


def test_a_provisional_snapshot_stands_between_its_epoch_and_the_next() -> None:
    for epoch, replica in product(range(5), SERVERS[1:]):
        topology = Topology(master=SERVERS[0], replicas=SERVERS[1:], epoch=epoch)
        promoted = topology.promoted(replica)
        assert topology.order < promoted.order < Topology(epoch=epoch + 1).order
        assert promoted.promoted(SERVERS[0]).order == promoted.order
        assert set(promoted.replicas) == set(SERVERS) - {replica}
