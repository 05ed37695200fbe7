"""
A model of one sentinel: what it sees, what it agrees with the others, and what it tells clients.

Order and timing of events follow what was measured on real groups; `failover.py` has the
leader's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sahool_cache.address import Address
from tests.simulation.failover import Failover
from tests.simulation.network import End, Network
from tests.simulation.publishing import Publisher
from tests.simulation.servers import Server
from tests.simulation.watched import MASTER_NAME, Watched

__all__ = ["Sentinel", "SentinelOptions"]

HELLO_EVERY = 2.0
ASK_EVERY = 1.0
INFO_EVERY, INFO_EVERY_IN_TROUBLE = 10.0, 1.0
REPAIR_AFTER = 8.0
"""Seconds during which a server must be up in the wrong role before a sentinel corrects it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelOptions:
    """
    What the operator wrote into the configuration; seconds.
    """

    down_after: float
    failover_timeout: float
    quorum: int


class Sentinel:
    """
    One sentinel. `peers` are the others; the group may know it as dead, then `running` is false.
    """

    def __init__(
        self,
        address: Address,
        network: Network,
        random: Random,
        options: SentinelOptions,
        *,
        master: Server,
        replicas: list[Server],
        publisher: Publisher,
    ) -> None:
        self.address = address
        self.host = address.host
        self.run_id = f"{address.host:>040}".replace(".", "a")
        self.network = network
        self.random = random
        self.options = options
        self.peers: list[Sentinel] = []
        self.running = True
        self.current_epoch = 0
        self.config_epoch = 0
        self.voted: tuple[Sentinel | None, int] = (None, 0)
        self.objectively_down = False
        self.peers_say: dict[Sentinel, tuple[bool, float]] = {}
        self.failover = Failover(self)
        self.publisher = publisher
        self.now = network.loop.time
        self._hello_at = 0.0
        self._woken_from = 0.0
        self.master = self._watch(master, "master")
        self.replicas = {each.address: self._watch(each, "replica") for each in replicas}
        network.listeners[address] = self.accept

    def __str__(self) -> str:
        return str(self.address)

    def _watch(self, server: Server, role: str) -> Watched:
        now = self.now()
        return Watched(server, now, up_since=now, asked_at=now, reports=role, reports_since=now)

    @property
    def answers(self) -> bool:
        """
        Whether it does anything at all now.
        """
        return (
            self.running
            and self.host not in self.network.hung
            and self.host not in self.network.vanished
        )

    @property
    def named(self) -> Address:
        """
        The master that it tells clients of: the promoted replica as soon as it knows.
        """
        promoted = self.failover.promoted
        return promoted.address if promoted is not None else self.master.address

    def accept(self, end: End) -> None:
        """
        A client has connected.
        """
        self.publisher.accept(end)

    def publish(self, event: str, text: str) -> None:
        """
        Tells the clients that listen.
        """
        self.publisher.publish(event, text)

    def about(self, watched: Watched) -> str:
        """
        An instance as events name it.
        """
        host, port = watched.address
        mine = f"{MASTER_NAME} {self.master.address.host} {self.master.address.port}"
        if watched is self.master:
            return f"master {mine}"
        return f"slave {host}:{port} {host} {port} @ {mine}"

    def tick(self) -> None:
        """
        Looks at every server, asks and tells the other sentinels, and drives a failover.
        """
        now = self.now()
        if not self.answers:
            self._woken_from = now
            return
        if self._woken_from:
            for watched in (self.master, *self.replicas.values()):
                watched.answered_at = max(watched.answered_at, now - 0.1)
            self._woken_from = 0.0
        for watched in (self.master, *self.replicas.values()):
            self._look_at(watched, now)
        self._ask_peers(now)
        self._agree()
        self.failover.tick(now)
        if now >= self._hello_at:
            self.say_hello()

    def _look_at(self, watched: Watched, now: float) -> None:
        server = watched.server
        watched.connected = server.answers and self.network.reachable(
            self.host, server.address.host
        )
        if not watched.connected:
            if not watched.down and now - watched.answered_at > self.options.down_after:
                watched.down = True
                self.publish("+sdown", self.about(watched))
            return
        returned = now - watched.answered_at > 0.5
        watched.answered_at = now
        if watched.down:
            watched.down = False
            watched.up_since = now
            self.publish("-sdown", self.about(watched))
        trouble = self.objectively_down or self.failover.state is not None
        if returned or now - watched.asked_at >= (INFO_EVERY_IN_TROUBLE if trouble else INFO_EVERY):
            watched.info(now)
            if watched is not self.master:
                self._repair(watched, now)

    def _repair(self, watched: Watched, now: float) -> None:
        settled = (
            now - watched.reports_since > REPAIR_AFTER
            and now - watched.up_since > REPAIR_AFTER
            and not self.master.down
            and self.master.connected
            and self.master.reports == "master"
            and self.failover.state is None
        )
        if not settled:
            return
        if watched.reports == "master":
            self.publish("+convert-to-slave", self.about(watched))
        elif watched.follows != self.master.address:
            self.publish("+fix-slave-config", self.about(watched))
        else:
            return
        self.order(watched, self.master)

    def order(self, watched: Watched, master: Watched | None) -> None:
        """
        Tells a server whom to follow; None for nobody.
        """
        self.network.loop.call_later(self.network.latency(), self._order, watched, master)

    def _order(self, watched: Watched, master: Watched | None) -> None:
        server = watched.server
        if server.answers and self.network.reachable(self.host, server.address.host):
            if master is None:
                server.promote()
            else:
                server.follow(master.server)

    def reaches(self, peer: Sentinel) -> bool:
        """
        Whether a message to that sentinel arrives.
        """
        return self.answers and peer.answers and self.network.reachable(self.host, peer.host)

    def _ask_peers(self, now: float) -> None:
        if not self.master.down:
            self.peers_say.clear()
            return
        for peer in self.peers:
            _, asked = self.peers_say.get(peer, (False, 0.0))
            if now - asked >= ASK_EVERY and self.reaches(peer):
                self.peers_say[peer] = (self.peers_say.get(peer, (False,))[0], now)
                delay = self.network.latency() * 2
                self.network.loop.call_later(delay, self._answered, peer, self.master.address, now)

    def _answered(self, peer: Sentinel, about: Address, asked: float) -> None:
        if self.reaches(peer) and self.master.down and self.master.address == about:
            agrees = peer.master.address == about and peer.master.down
            self.peers_say[peer] = (agrees, asked)

    def _agree(self) -> None:
        now = self.now()
        votes = sum(says and now - at < 5 for says, at in self.peers_say.values())
        quorum = self.master.down and votes + 1 >= self.options.quorum
        if quorum and not self.objectively_down:
            self.objectively_down = True
            text = f"{self.about(self.master)} #quorum {votes + 1}/{self.options.quorum}"
            self.publish("+odown", text)
        elif not quorum and self.objectively_down:
            self.objectively_down = False
            self.publish("-odown", self.about(self.master))

    def vote(self, candidate: Sentinel, epoch: int) -> tuple[Sentinel | None, int]:
        """
        Whom it votes for in that epoch: the first who asked.
        """
        if epoch > self.current_epoch:
            self.current_epoch = epoch
            self.publish("+new-epoch", str(epoch))
        if self.voted[1] < epoch and self.current_epoch <= epoch:
            self.voted = (candidate, epoch)
            self.publish("+vote-for-leader", f"{candidate.run_id} {epoch}")
            if candidate is not self:
                self.failover.started_at = self.now() + self.random.random()
        return self.voted

    def say_hello(self) -> None:
        """
        Tells the others which master it knows, of which epoch.
        """
        self._hello_at = self.now() + HELLO_EVERY
        promoted = self.failover.promoted
        master = promoted if promoted is not None else self.master
        for peer in self.peers:
            if self.config_epoch != peer.config_epoch or self.current_epoch > peer.current_epoch:
                delay = self.network.latency() + self.random.uniform(0, 0.06)
                self.network.loop.call_later(
                    delay, peer.hear, self, self.current_epoch, self.config_epoch, master.server
                )

    def hear(self, peer: Sentinel, current: int, config: int, master: Server) -> None:
        """
        What another sentinel said; the higher config-epoch wins.
        """
        if not peer.reaches(self):
            return
        if current > self.current_epoch:
            self.current_epoch = current
            self.publish("+new-epoch", str(current))
        if config > self.config_epoch:
            self.config_epoch = config
            if master.address != self.master.address:
                host, port = peer.address
                self.publish(
                    "+config-update-from",
                    f"sentinel {peer.run_id} {host} {port} @ {self.about(self.master)[7:]}",
                )
                self.switch(master)

    def switch(self, master: Server) -> None:
        """
        Knows another master from now on; everybody else is its replica.
        """
        before = f"{MASTER_NAME} {self.master.address.host} {self.master.address.port}"
        self.publish("+switch-master", f"{before} {master.address.host} {master.address.port}")
        self._adopt(master)
        for watched in self.replicas.values():
            self.publish("+slave", self.about(watched))

    def _adopt(self, master: Server) -> None:
        old = self.master
        servers = [old.server, *(each.server for each in self.replicas.values())]
        self.failover.reset()
        self.objectively_down = False
        self.peers_say.clear()
        self.master = self._watch(master, "master")
        self.replicas = {
            each.address: self._watch(each, "replica") for each in servers if each is not master
        }
        for watched in self.replicas.values():
            watched.connected = False

    def kill(self) -> None:
        """
        Ends the process; the promoted replica is in its configuration as soon as it knew of it.
        """
        self.running = False
        if self.failover.promoted is not None:
            self._adopt(self.failover.promoted.server)
        self.failover.reset()
        del self.network.listeners[self.address]
        self.publisher.end()

    def start(self) -> None:
        """
        Starts it anew with what it had written to its configuration.
        """
        self.running = True
        self.network.listeners[self.address] = self.accept
        self._woken_from = self.now()
        self.network.changed()
