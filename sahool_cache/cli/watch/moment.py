"""
What the screen shows: how everybody is doing at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sahool_cache.address import Address
from sahool_cache.cli.watch.course import Course, Entry
from sahool_cache.client import RedisClient

__all__ = ["Moment", "Row", "moment"]

SHOWN = 100
"""Entries that fit on no screen more of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One server; seconds, and None for what is not known.
    """

    address: Address
    is_master: bool
    connected: bool
    in_rotation: bool
    lag: float | None
    rtt: float | None
    in_flight: int
    breaker: str
    rate: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    The group now. `usable` is whether commands to the master flow; `held` says why they are
    held, `why` why they cannot be sent.
    """

    name: str
    elapsed: float
    epoch: int
    provisional: bool
    usable: bool
    held: str | None
    why: str | None
    rows: tuple[Row, ...]
    sentinels: tuple[int, int]
    quorum: int
    waiting: int
    failovers: int
    entries: tuple[Entry, ...]


def moment(redis: RedisClient, course: Course, rates: Mapping[Address, int]) -> Moment:
    """
    Takes it from the client; no I/O.
    """
    stats, chain = redis.stats(), redis.chain
    topology = stats.topology
    nodes = {node.address: node for node in stats.nodes}
    members = (topology.master, *topology.replicas)
    links = chain.fleet.watcher.links.values() if chain is not None else ()
    lags = chain.fleet.rotation.lags if chain is not None else {}
    rows = tuple(
        Row(
            address=address,
            is_master=address == topology.master,
            connected=node is not None and node.lanes > 0 and not node.quiet,
            in_rotation=address in topology.in_rotation,
            lag=lags.get(address),
            rtt=node.rtt if node is not None else None,
            in_flight=node.in_flight if node is not None else 0,
            breaker=stats.breakers.get(address, "closed"),
            rate=rates.get(address),
        )
        for address, node in ((each, nodes.get(each)) for each in members if each is not None)
    )
    return Moment(
        name=redis.settings.master_name,
        elapsed=course.elapsed,
        epoch=topology.epoch,
        provisional=topology.provisional,
        usable=chain is not None and chain.fleet.hot is not None,
        held=course.held,
        why=course.why,
        rows=rows,
        sentinels=(sum(link.connected for link in links), len(links)),
        quorum=chain.fleet.watcher.quorum if chain is not None else 0,
        waiting=stats.waiting,
        failovers=stats.failovers,
        entries=tuple(course.entries)[-SHOWN:],
    )
