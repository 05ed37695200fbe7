"""
A whole simulated group: servers, sentinels, the network between them, and a record of it all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from random import Random

from sahool_cache.address import Address
from tests.simulation.answers import answer
from tests.simulation.dataset import Write
from tests.simulation.loop import START, SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.publishing import Publisher
from tests.simulation.sentinels import Sentinel, SentinelOptions
from tests.simulation.servers import CRON, Server

__all__ = ["CALL", "Execution", "Group", "GroupOptions"]

CALL = re.compile(rb"<(\d+)>")
"""How the number of a call is written into the arguments of its write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """
    What kind of group; chances are between 0 and 1, `lag` is in seconds.
    """

    replicas: int
    sentinels: int
    sentinel: SentinelOptions
    latency: tuple[float, float]
    lag: float
    events_lost: float
    events_repeated: float


@dataclass(frozen=True, slots=True)
class Execution:
    """
    One write that a server executed for the client; `counts` for the kind that must run once.
    """

    call: int
    server: Server
    at: float
    counts: bool


class Group:
    """
    The servers, the sentinels, and what happened. `trace` is one line for each thing that did.
    """

    def __init__(self, loop: SimulatedLoop, seed: int, options: GroupOptions) -> None:
        self.loop = loop
        self.options = options
        self.random = Random(f"{seed}: group")
        self.network = Network(loop, Random(f"{seed}: network"), latency=options.latency)
        self.trace: list[str] = []
        self.pending = 0
        self.executions: dict[int, list[Execution]] = {}
        self.servers = [self._server(number) for number in range(options.replicas + 1)]
        for replica in self.servers[1:]:
            replica.follow(self.servers[0])
            replica.linked = True
        self.sentinels = [self._sentinel(number) for number in range(options.sentinels)]
        for sentinel in self.sentinels:
            sentinel.peers = [each for each in self.sentinels if each is not sentinel]
            self._tick(sentinel)
        self.trace.clear()
        loop.call_later(CRON, self._cron)

    def _server(self, number: int) -> Server:
        return Server(
            Address(f"10.0.0.{number + 1}", 6379),
            self.network,
            self.random,
            lag=self.options.lag,
            executed=self._executed,
            tell=self.tell,
        )

    def _sentinel(self, number: int) -> Sentinel:
        address = Address(f"10.0.1.{number + 1}", 26379)
        publisher = Publisher(
            str(address),
            self.network,
            self.random,
            lost=self.options.events_lost,
            repeated=self.options.events_repeated,
            tell=self.tell,
        )
        sentinel = Sentinel(
            address,
            self.network,
            self.random,
            self.options.sentinel,
            master=self.servers[0],
            replicas=self.servers[1:],
            publisher=publisher,
        )
        publisher.answer = partial(answer, sentinel)
        return sentinel

    def tell(self, who: str, what: str) -> None:
        """
        Adds a line to the trace.
        """
        self.trace.append(f"{self.loop.time() - START:9.4f}  {who:<16} {what}")

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """
        Does something later; until then the group does not count as settled.
        """
        self.pending += 1

        def act() -> None:
            self.pending -= 1
            action()

        self.loop.call_later(delay, act)

    def revive(self, known: Collection[Address]) -> None:
        """
        Starts what is dead, but for one sentinel, unless the client knows no other, and for one
        server where two more are left.
        """
        dead = [each for each in self.sentinels if not each.running]
        others_known = any(each.running and each.address in known for each in self.sentinels)
        for sentinel in dead[1 if others_known else 0 :]:
            sentinel.start()
        spared = 1 if len(self.servers) > 2 else 0
        for server in [each for each in self.servers if not each.running][spared:]:
            server.start(0.1)

    def _tick(self, sentinel: Sentinel) -> None:
        sentinel.tick()
        self.loop.call_later(self.random.uniform(0.08, 0.12), self._tick, sentinel)

    def _cron(self) -> None:
        for server in self.servers:
            server.cron()
        self.loop.call_later(CRON, self._cron)

    def _executed(self, server: Server, write: Write) -> None:
        for call in {int(number) for word in write for number in CALL.findall(word)}:
            execution = Execution(call, server, self.loop.time(), write[0] == b"INCRBY")
            self.executions.setdefault(call, []).append(execution)

    def server(self, address: Address) -> Server:
        """
        The server of that address.
        """
        return next(each for each in self.servers if each.address == address)

    @property
    def master(self) -> Server:
        """
        The master in the view of the sentinel with the highest config-epoch.
        """
        best = max(self.sentinels, key=lambda sentinel: (sentinel.running, sentinel.config_epoch))
        return self.server(best.named)

    @property
    def epoch(self) -> int:
        """
        The highest config-epoch among the sentinels that run.
        """
        return max(each.config_epoch for each in self.sentinels if each.running)

    @property
    def settled(self) -> bool:
        """
        Whether every sentinel that runs agrees, no failover is under way, and every server that
        runs has its place.
        """
        sentinels = [each for each in self.sentinels if each.running]
        views = {(each.master.address, each.config_epoch) for each in sentinels}
        calm = not any(each.failover.state or each.master.down for each in sentinels)
        master = self.master
        return (
            self.pending == 0
            and len(views) == 1
            and calm
            and master.running
            and master.role == "master"
            and not master.loading
            and all(
                each.master is master and each.linked and not each.loading
                for each in self.servers
                if each.running and each is not master
            )
        )
