"""
A group whose members run on hosts of their own, between which the network can be cut silently.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, Self

from sahool_cache.address import Address
from sahool_cache.embedded import EmbeddedSentinel, Node, Place
from sahool_cache.embedded.agreement import views_now
from tests.chaos.network import Network, why_no_network

__all__ = ["SENTINEL_WITH_MASTER", "Client", "From", "HostGroup", "Party"]

Client = Literal["client"]
Party = Node | Client
From = Literal["group", "client", "all"]

# The hosts of master, two replicas and three sentinels: the first sentinel is on the master's.
SENTINEL_WITH_MASTER = (0, 1, 2, 0, 3, 4)

_CLIENT: Client = "client"
_SERVER_PORT = 6379
_SENTINEL_PORT = 26379


class HostGroup:
    """
    An `EmbeddedSentinel` whose members are reached at one address by everybody: by one another,
    by this process, and by any client in it. Takes the same options.

    `layout` has the number of each member's host, the master's first and the sentinels' last; by
    default each has its own. A cut is between hosts: no packet passes, and nobody is told.
    What runs on one host always reaches the rest of that host. For all else it is the
    group that it holds.
    """

    def __init__(
        self,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        layout: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self._servers = 1 + replicas
        self._layout = tuple(range(1 + replicas + sentinels)) if layout is None else tuple(layout)
        self._options = {"replicas": replicas, "sentinels": sentinels, **options}
        self._group = EmbeddedSentinel(**self._options)
        self._network: Network | None = None
        self._stack = AsyncExitStack()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    @staticmethod
    @functools.cache
    def missing() -> str | None:
        """
        Why this machine cannot run such a group, or None if it can.
        """
        return why_no_network()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._network = await stack.enter_async_context(Network(1 + max(self._layout)))
            self._group = EmbeddedSentinel(**self._options, places=self._places(self._network))
            await stack.enter_async_context(self._group)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        self._network = None

    async def cut(self, *parties: Party) -> None:
        """
        Cuts all these parties off from one another, silently and in both directions.
        """
        hosts = dict.fromkeys(map(self._host, parties))
        await self._open_network().cut(itertools.combinations(hosts, 2))

    async def cut_off(self, *nodes: Node, from_: From = "group") -> None:
        """
        Cuts the hosts of these nodes off from all other hosts of the group (``group``), from
        the client, or from both (``all``), as if they had vanished. They still reach one another.
        """
        inside = dict.fromkeys(map(self._host, nodes))
        others = [host for host in self._open_network().hosts if host not in inside]
        outside = {
            "group": others,
            "client": [self._open_network().client],
            "all": [*others, self._open_network().client],
        }[from_]
        await self._open_network().cut(itertools.product(inside, outside))

    async def heal(self) -> None:
        """
        Takes all cuts back. What was sent in the meantime is sent again by TCP, which waits
        longer from time to time: after a cut of some seconds, as much again.
        """
        await self._open_network().heal()

    @property
    def master(self) -> Node:
        """
        As `EmbeddedSentinel.master`, but never waits for a sentinel that is cut off from here.
        """
        heard = [each for each in self._group.sentinels if self.reachable(each)]
        return self._group._named(views_now(heard, self._group.settings.master_name))

    @property
    def replicas(self) -> tuple[Node, ...]:
        """
        The servers other than `master`.
        """
        master = self.master
        return tuple(node for node in self._group._open_members().servers if node is not master)

    def reachable(self, node: Node) -> bool:
        """
        Whether the node's host is not cut off from this process.
        """
        network = self._open_network()
        return not network.is_cut(network.client, node.host)

    def with_node(self, node: Node) -> tuple[Node, ...]:
        """
        All members on that node's host, itself too.
        """
        members: Iterable[Node] = (self.master, *self.replicas, *self.sentinels)
        return tuple(each for each in members if each.host == node.host)

    def _places(self, network: Network) -> list[Place]:
        places = []
        for number, host in enumerate(self._layout):
            port = _SERVER_PORT + number
            if number >= self._servers:
                port = _SENTINEL_PORT + number - self._servers
            address = Address(network.hosts[host], port)
            places.append(Place(address=address, prefix=network.prefix(address.host)))
        return places

    def _host(self, party: Party) -> str:
        return self._open_network().client if party == _CLIENT else party.host

    def _open_network(self) -> Network:
        assert self._network is not None, "the group is not open"
        return self._network
