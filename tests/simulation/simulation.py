"""
Runs one schedule from beginning to end, and collects what was wrong.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sahool_cache import RedisClient
from sahool_cache.address import Address
from sahool_cache.events import BreakerChanged, Event
from sahool_cache.routing.topology import Topology
from sahool_cache.wiring.chain import Chain
from tests.simulation.callers import Call, Callers
from tests.simulation.dialling import SimulatedDialler
from tests.simulation.group import CALL, Group
from tests.simulation.invariants import check_calls, check_order
from tests.simulation.loop import Deadlock, Livelock, SimulatedLoop
from tests.simulation.probes import Probes
from tests.simulation.schedules import Schedule

__all__ = ["Outcome", "simulate"]

SETTLES_WITHIN = 90.0
"""Seconds that the model of the group may take, once its faults are undone."""

CLOSES_WITHIN = 0.1
WRITE_VERBS = (b"\r\nSET\r\n", b"\r\nINCRBY\r\n", b"\r\nSADD\r\n", b"\r\nDEL\r\n")


@dataclass(slots=True)
class Outcome:
    """
    What came of a schedule: the trace, the calls, every broken invariant in words, and the writes
    that were acknowledged and that the master at the end does not have, which may happen.
    """

    schedule: Schedule
    trace: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    lost: list[Call] = field(default_factory=list)
    seconds: float = 0.0
    converged_in: float | None = None


class Simulation:
    """
    One client in one simulated group.
    """

    def __init__(self, loop: SimulatedLoop, schedule: Schedule) -> None:
        seed = schedule.seed
        self.loop = loop
        self.schedule = schedule
        self.group = Group(loop, seed, schedule.group)
        self.problems: list[str] = []
        self.converged_in: float | None = None
        self.written: set[int] = set()
        self.shut: set[Address] = set()
        self.topology = Topology()
        dialler = SimulatedDialler(self.group.network, schedule.settings, self._written)
        self.client = RedisClient(
            schedule.settings, observers=[self], dialler=dialler, random=Random(f"{seed}: client")
        )
        moments = [fault.at for fault in schedule.faults]
        moments += [fault.at + fault.lasting for fault in schedule.faults]
        busy = [(at - 0.3, at + schedule.group.sentinel.down_after + 1.5) for at in moments]
        self.callers = Callers(self.client, Random(f"{seed}: callers"), busy)
        self._chain: Chain | None = None

    def on_event(self, event: Event) -> None:
        """
        What the client says.
        """
        if isinstance(event, BreakerChanged):
            (self.shut.discard if event.state == "closed" else self.shut.add)(event.node)
        self.group.tell("client", str(event))

    def _written(self, address: Address, data: bytes) -> None:
        for number in CALL.findall(data):
            self.written.add(int(number))
        master = self.topology.master
        if master is not None and address != master and any(map(data.__contains__, WRITE_VERBS)):
            self.problems.append(
                f"{self.loop.elapsed:.4f}: a write was sent to {address}, the master is {master}"
            )

    def _published(self, new: Topology) -> None:
        agreed = {(each.named, each.config_epoch) for each in self.group.sentinels if each.running}
        self.problems += check_order(self.topology, new, agreed, self.loop.elapsed)
        if new.master != self.topology.master:
            self.group.tell("client", f"publishes {new}")
        self.topology = new

    async def run(self) -> None:
        """
        The whole schedule.
        """
        for fault in self.schedule.faults:
            if fault.at < 0:
                self._start(fault)
            else:
                self.loop.call_later(fault.at, self._start, fault)
        chain = await self.client.ready()
        self._chain = chain
        fleet, follow = chain.fleet, chain.fleet.on_topology

        def on_topology(new: Topology) -> None:
            self._published(new)
            follow(new)

        fleet.on_topology = on_topology  # type: ignore[method-assign]
        callers = [
            asyncio.create_task(self.callers.run(), name=f"caller {number}")
            for number in range(self.schedule.callers)
        ]
        closed_at = self.schedule.closed_at
        if closed_at is not None:
            await asyncio.sleep(closed_at)
        else:
            await self.client.open()
            await self._until_settled()
            await self._converge()
        await self._close(callers)

    def _start(self, fault: Any) -> None:
        undo = fault.start(self.group)
        if fault.undone:
            self.loop.call_later(fault.lasting, undo)

    async def _until_settled(self) -> None:
        await asyncio.sleep(max(0.0, self.schedule.ends_at - self.loop.elapsed))
        while self.group.pending:
            await asyncio.sleep(0.1)
        self.group.revive(self.client.topology.sentinels)
        calm = 0.0
        while calm < 0.5:
            await asyncio.sleep(0.1)
            calm = calm + 0.1 if self.group.settled else 0.0
            if self.loop.elapsed > self.schedule.ends_at + SETTLES_WITHIN:
                self.problems.append("MODEL: the group itself never settled")
                return
        self.group.tell("MODEL", f"settled: epoch {self.group.epoch}, master {self.group.master}")

    async def _converge(self) -> None:
        """
        The client must find the group's master again, and its calls succeed.
        """
        began = self.loop.time()
        give_up = began + self.schedule.settings.poll_interval * 1.2 + 1.5
        expected = (self.group.master.address, self.group.epoch, False)
        breaker = self.schedule.settings.breaker_open_for  # one that is open may stay so as long
        while (found := self._found()) != expected and self.loop.time() < give_up:
            await asyncio.sleep(0.05)
        while self.shut and self.loop.time() < began + breaker + 0.5:
            await asyncio.sleep(0.05)
        if found != expected:
            self.problems.append(f"the client holds on to {found}, the group has {expected}")
        self.converged_in = self.loop.time() - began
        view = self.client.with_options(timeout=2.0, read_from="master")
        for kind in ("set", "get", "incrby"):
            call = await self.callers.call(kind, view)
            if call.error is not None:
                self.problems.append(f"all is well, and yet: {call}")

    def _found(self) -> tuple[Address | None, int, bool]:
        topology = self.client.topology
        return topology.master, topology.epoch, topology.provisional

    async def _close(self, callers: list[asyncio.Task[None]]) -> None:
        self.callers.stopping = True
        began = self.loop.time()
        self.group.tell("client", "closes")
        if self.client.chain is not self._chain:
            self.problems.append("the background tasks failed, and were started again")
        await self.client.aclose()
        if self.loop.time() - began > CLOSES_WITHIN + 1e-6:
            self.problems.append(f"closing took {self.loop.time() - began:.3f} s")
        self.problems += [
            f"still open after aclose(): {connection.address}"
            for connection in self.group.network.open_ends
        ]
        mine = {asyncio.current_task(), *callers}
        tasks = [task for task in asyncio.all_tasks() - mine if task.get_name() != "caller's call"]
        self.problems += [f"still running after aclose(): {task.get_name()}" for task in tasks]
        await asyncio.gather(*callers)


def simulate(schedule: Schedule) -> Outcome:
    """
    Runs a schedule on a loop of its own.
    """
    loop = SimulatedLoop()
    outcome = Outcome(schedule)
    simulation = None
    logging.getLogger("sahool_cache").disabled = True
    logging.getLogger("sahool_cache.events").disabled = True
    probes = Probes()
    try:
        with probes:
            simulation = loop.run_until_complete(_simulate(loop, schedule))
    except (Deadlock, Livelock) as error:
        outcome.problems.append(f"{type(error).__name__}: {error}")
    finally:
        logging.getLogger("sahool_cache").disabled = False
        logging.getLogger("sahool_cache.events").disabled = False
    if simulation is not None:
        outcome.trace = simulation.group.trace
        outcome.calls = simulation.callers.calls
        outcome.converged_in = simulation.converged_in
        outcome.lost = _lost(simulation)
        outcome.problems += simulation.problems
        outcome.problems += check_calls(
            simulation.callers.calls, simulation.group.executions, simulation.written
        )
    outcome.seconds = loop.elapsed
    outcome.problems += probes.problems
    del simulation
    loop.close()
    gc.collect()  # what was never retrieved complains when it is collected
    outcome.problems += [f"the loop complains: {complaint}" for complaint in loop.complaints]
    return outcome


async def _simulate(loop: SimulatedLoop, schedule: Schedule) -> Simulation:
    simulation = Simulation(loop, schedule)
    await simulation.run()
    return simulation


def _lost(simulation: Simulation) -> list[Call]:
    words = b" ".join(word for write in simulation.group.master.history for word in write)
    kept = {int(number) for number in CALL.findall(words)}
    return [
        call
        for call in simulation.callers.calls
        if call.writes and call.error is None and call.number not in kept
    ]
