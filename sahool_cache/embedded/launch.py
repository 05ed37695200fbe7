"""
Starts the processes of a group in the order that lets them find one another at once.
"""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from sahool_cache.address import Address
from sahool_cache.embedded.agreement import disagreement, out_of_sync, until
from sahool_cache.embedded.config import (
    DISKLESS_SYNC,
    GroupConfig,
    Place,
    SentinelIdentity,
    diskless_sync,
    greeting,
    sentinel_text,
    server_text,
    tuning,
)
from sahool_cache.embedded.errors import EmbeddedError
from sahool_cache.embedded.guard import Guard
from sahool_cache.embedded.node import Node
from sahool_cache.embedded.wire import Command

__all__ = ["Members", "launch"]

_HOST = "127.0.0.1"
# Below every system's ephemeral range: there, an outgoing connection could take the port of a
# killed node, and one that dials its own port number would even be connected to itself.
_PORTS = range(10_000, 32_000)
# After a diskless sync the master sends a replica nothing until its next acknowledgement, often a
# second later. At the start, when there is no data yet, a sync through a file is a second quicker.
_DISK_SYNC = (f"--{DISKLESS_SYNC}", "no")

Programs = Mapping[Address, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """
    The processes of one group; the first server starts as the master.
    """

    servers: tuple[Node, ...]
    sentinels: tuple[Node, ...]


async def launch(config: GroupConfig, binary: str, guard: Guard, timeout: float) -> Members:
    """
    Running members that all see one another.

    Raises `EmbeddedError` with the tail of a log; the caller closes `guard` then.
    """
    deadline = time.monotonic() + timeout
    places = config.places or [Place(address=each) for each in _free_addresses(config.members)]
    programs = {place.address: (*place.prefix, binary) for place in places}
    addresses = [place.address for place in places]
    data = addresses[: 1 + config.replicas]
    identities = [
        SentinelIdentity(address=address, id=secrets.token_hex(20))
        for address in addresses[len(data) :]
    ]
    servers = _servers(config, programs, guard, data)
    sentinels = _sentinels(config, programs, guard, data, identities)
    master, replicas = servers[0], servers[1:]
    # A replica that finds no master tries again a second later, and so does a sentinel that finds
    # a replica without its link: each step waits for the one before.
    await _start([master], deadline, *_DISK_SYNC)
    await _start(replicas, deadline)
    await _settle(servers, deadline, lambda: out_of_sync(master, replicas))
    await _tell(master, ("CONFIG", "SET", DISKLESS_SYNC, diskless_sync(config)), deadline)
    await _start(sentinels, deadline)
    await _introduce(config, master.address, sentinels, identities, deadline)
    await _settle(
        servers + sentinels,
        deadline,
        lambda: disagreement(sentinels, config.master_name, master, replicas, links=True),
    )
    return Members(servers=tuple(servers), sentinels=tuple(sentinels))


def _servers(
    config: GroupConfig, programs: Programs, guard: Guard, addresses: Sequence[Address]
) -> list[Node]:
    master = addresses[0]
    return [
        Node(
            "master" if address == master else "replica",
            address,
            text=server_text(config, address, None if address == master else master),
            program=programs[address],
            guard=guard,
            password=config.password,
        )
        for address in addresses
    ]


def _sentinels(
    config: GroupConfig,
    programs: Programs,
    guard: Guard,
    servers: Sequence[Address],
    identities: Sequence[SentinelIdentity],
) -> list[Node]:
    return [
        Node(
            "sentinel",
            me.address,
            text=sentinel_text(config, me, master=servers[0], replicas=servers[1:]),
            program=programs[me.address],
            guard=guard,
            password=config.sentinel_password,
            tuning=tuning(config),
        )
        for me in identities
    ]


async def _introduce(
    config: GroupConfig,
    master: Address,
    sentinels: Sequence[Node],
    identities: Sequence[SentinelIdentity],
    deadline: float,
) -> None:
    # They would greet one another through the master, 2 s from now. A `known-sentinel` line is no
    # quicker: who reads it while the other is not listening yet tries again a second later.
    for sentinel in sentinels:
        for other in identities:
            if other.address != sentinel.address:
                await _tell(sentinel, greeting(config, other, master), deadline)


async def _tell(node: Node, command: Command, deadline: float) -> None:
    async def refusal() -> str | None:
        try:
            (reply,) = await node.ask(command)
        except OSError as error:
            return f"{node!r} does not answer: {error!r}"
        return f"{node!r} refuses: {reply}" if isinstance(reply, ResponseError) else None

    await _settle([node], deadline, refusal)


async def _start(nodes: Sequence[Node], deadline: float, *options: str) -> None:
    for node in nodes:
        node.start(*options)
    for node in nodes:
        await _settle([node], deadline, node.unready)


async def _settle(
    nodes: Sequence[Node], deadline: float, reason: Callable[[], Awaitable[str | None]]
) -> None:
    async def unsettled() -> str | None:
        for node in nodes:
            node.check_alive()
        return await reason()

    try:
        await until(unsettled, deadline - time.monotonic())
    except TimeoutError as error:
        tails = "\n".join(f"{node!r} wrote last:\n{node.tail(4)}" for node in nodes)
        raise EmbeddedError(f"the group did not start in time: {error}\n{tails}") from error


def _free_addresses(count: int) -> list[Address]:
    free: list[Address] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        free.append(Address(_HOST, port))
        if len(free) == count:
            return free
    raise EmbeddedError(f"{count} ports are not free between {_PORTS.start} and {_PORTS.stop}")
