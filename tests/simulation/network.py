"""
A network of hosts: bytes take time, come in fragments, are held by partitions, or never arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random

from sahool_cache.address import Address
from tests.simulation.loop import SimulatedLoop

__all__ = ["CLIENT", "Connection", "End", "Network"]

CLIENT = "client"
"""The host of the client under test."""


class End:
    """
    One end of a connection: what it is sent arrives later, in order, as far as the path allows.
    """

    __slots__ = (
        "_arrived_last",
        "_inbox",
        "_network",
        "closed",
        "host",
        "lost",
        "peer",
        "received",
    )

    def __init__(self, network: Network, host: str) -> None:
        self.host = host
        self.closed = False
        self.peer: End
        self.received: Callable[[bytes], None] | None = None
        self.lost: Callable[[BaseException | None], None] | None = None
        self._network = network
        self._inbox: deque[tuple[float, bytes | None]] = deque()
        self._arrived_last = 0.0

    def send(self, data: bytes) -> None:
        """
        Puts bytes on the way to the other end.
        """
        if not self.closed:
            for part in self._network.fragments(data):
                self.peer._post(part)

    def close(self) -> None:
        """
        Ends the connection: the other end learns of it after the bytes that are on the way.
        """
        if not self.closed:
            self.closed = True
            self._inbox.clear()
            self._network.forget(self)
            self.peer._post(None)

    def vanish(self) -> None:
        """
        Ends this end without telling anybody.
        """
        self.closed = True
        self._inbox.clear()
        self._network.forget(self)

    def reset(self) -> None:
        """
        Tells this end that the other one has gone.
        """
        self._post(None)

    def _post(self, item: bytes | None) -> None:
        if self.closed:
            return
        network = self._network
        delay = network.latency()
        self._arrived_last = at = max(self._arrived_last, network.loop.time() + delay)
        self._inbox.append((at, item))
        network.loop.call_at(at, self.deliver)

    def deliver(self) -> None:
        """
        Hands over what has arrived, unless the path is cut or this host hangs.
        """
        network, inbox = self._network, self._inbox
        while (
            inbox
            and inbox[0][0] <= network.loop.time()
            and self.host not in network.hung
            and network.reachable(self.peer.host, self.host)
        ):
            _, item = inbox.popleft()
            if item is None:
                self._end()
            elif self.received is not None:
                self.received(item)

    def _end(self) -> None:
        self.closed = True
        self._inbox.clear()
        self._network.forget(self)
        if self.lost is not None:
            self.lost(None)


class Connection:
    """
    Two ends that know each other; `address` is where the first one dialled.
    """

    __slots__ = ("address", "near")

    def __init__(self, network: Network, near: str, address: Address) -> None:
        self.address = address
        self.near, far = End(network, near), End(network, address.host)
        self.near.peer, far.peer = far, self.near


class Network:
    """
    Who reaches whom. A pair in `blocked` exchanges nothing, a host in `hung` reads nothing, one in
    `vanished` is switched off; all three hold the bytes that are on the way until they end. One in
    `refused` turns the client away.
    """

    def __init__(
        self, loop: SimulatedLoop, random: Random, *, latency: tuple[float, float]
    ) -> None:
        self.loop = loop
        self.blocked: set[tuple[str, str]] = set()
        self.hung: set[str] = set()
        self.vanished: set[str] = set()
        self.refused: set[str] = set()
        self.listeners: dict[Address, Callable[[End], None]] = {}
        self.connections: dict[End, Connection] = {}
        self.fragmented = 0.05
        self._random = random
        self._latency = latency
        self._changed: asyncio.Future[None] = loop.create_future()

    def latency(self) -> float:
        """
        Seconds that the next bytes take.
        """
        least, most = self._latency
        return least + (most - least) * self._random.random()

    def fragments(self, data: bytes) -> tuple[bytes, ...]:
        """
        The bytes as they will arrive: mostly in one piece.
        """
        if len(data) < 2 or self._random.random() >= self.fragmented:
            return (data,)
        place = self._random.randrange(1, len(data))
        return data[:place], data[place:]

    def reachable(self, one: str, other: str) -> bool:
        """
        Whether bytes pass between two hosts.
        """
        return (one, other) not in self.blocked and not (
            self.vanished and (one in self.vanished or other in self.vanished)
        )

    def block(self, one: str, other: str) -> None:
        """
        Cuts the path between two hosts, silently.
        """
        self.blocked |= {(one, other), (other, one)}

    def unblock(self, one: str, other: str) -> None:
        """
        Mends the path; what was held comes through a moment later.
        """
        self.blocked -= {(one, other), (other, one)}
        self.changed()

    def changed(self) -> None:
        """
        Lets what was held go on: retransmissions succeed, and connection attempts too.
        """
        for end in list(self.connections):
            for each in (end, end.peer):
                if each._inbox:
                    self.loop.call_later(self._random.uniform(0, 0.2), each.deliver)
        changed, self._changed = self._changed, self.loop.create_future()
        changed.set_result(None)

    def forget(self, end: End) -> None:
        """
        Drops a connection both of whose ends are closed.
        """
        if end.closed and end.peer.closed:
            self.connections.pop(end, None)
            self.connections.pop(end.peer, None)

    @property
    def open_ends(self) -> list[Connection]:
        """
        The connections that the client has not closed.
        """
        return [connection for end, connection in self.connections.items() if not end.closed]

    async def connect(self, near: str, address: Address) -> Connection:
        """
        A connection to whoever listens there. Raises `ConnectionRefusedError` when nobody does;
        waits without end while the path is cut.
        """
        await asyncio.sleep(self.latency() * 2)
        while not self.reachable(near, address.host):
            await asyncio.shield(self._changed)
            await asyncio.sleep(self._random.uniform(0, 0.2))
        accept = self.listeners.get(address)
        if accept is None or (near == CLIENT and address.host in self.refused):
            raise ConnectionRefusedError(f"{address} refused the connection")
        connection = Connection(self, near, address)
        self.connections[connection.near] = connection
        accept(connection.near.peer)
        return connection

    def cut(self, host: str) -> int:
        """
        Resets every connection of the client to that host, as a proxy or a firewall would.
        """
        ends = [end for end, each in self.connections.items() if each.address.host == host]
        for end in ends:
            end.peer.close()
        return len(ends)
