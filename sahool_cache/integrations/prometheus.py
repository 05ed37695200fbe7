"""
A client's figures for Prometheus, read when it asks: no call of the client's costs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sahool_cache.client import RedisClient
from sahool_cache.connection.figures import NodeStats
from sahool_cache.health import ClientStats
from sahool_cache.near_cache import NearCacheStats

__all__ = ["ClientCollector"]

T = TypeVar("T")
Labels = tuple[str, ...]


class _Row(NamedTuple, Generic[T]):
    """
    One metric, and how it is read; where that gives None there is no sample.
    """

    family: type[GaugeMetricFamily | CounterMetricFamily]
    name: str
    help: str
    read: Callable[[T], float | None]


def _is_up(stats: ClientStats) -> bool:
    master = stats.topology.master
    node = next((node for node in stats.nodes if node.address == master), None)
    if node is None or node.quiet:
        return False
    return node.lanes > 0 and stats.breakers[node.address] != "open"


def _outage(stats: ClientStats) -> float | None:
    return stats.last_failover.outage if stats.last_failover is not None else None


GAUGE, COUNTER = GaugeMetricFamily, CounterMetricFamily

_OF_CLIENT: tuple[_Row[ClientStats], ...] = (
    _Row(GAUGE, "up", "Whether the master can be sent commands now.", _is_up),
    _Row(
        GAUGE,
        "topology_epoch",
        "Sentinel's config-epoch.",
        lambda s: s.topology.epoch,
    ),
    _Row(
        GAUGE,
        "topology_provisional",
        "Whether it is not confirmed.",
        lambda s: s.topology.provisional,
    ),
    _Row(GAUGE, "replicas", "Replicas that are known.", lambda s: len(s.topology.replicas)),
    _Row(
        GAUGE,
        "replicas_in_rotation",
        "Those fit to be read.",
        lambda s: len(s.topology.in_rotation),
    ),
    _Row(GAUGE, "waiting_calls", "Calls in line for a server.", lambda s: s.waiting),
    _Row(COUNTER, "repeats", "Attempts beyond the first.", lambda s: s.repeats),
    _Row(COUNTER, "failovers", "Masters that were replaced by another.", lambda s: s.failovers),
    _Row(GAUGE, "last_failover_outage_seconds", "How long no master took commands.", _outage),
)
_OF_NODE: tuple[_Row[NodeStats], ...] = (
    _Row(GAUGE, "node_lanes", "Open multiplexed connections.", lambda n: n.lanes),
    _Row(GAUGE, "node_exclusive_connections", "Those lent just now.", lambda n: n.exclusive),
    _Row(GAUGE, "node_in_flight", "Commands that wait for their reply.", lambda n: n.in_flight),
    _Row(GAUGE, "node_quiet", "Whether replies are due and nothing comes.", lambda n: n.quiet),
    _Row(GAUGE, "node_rtt_seconds", "Round trip, as last measured.", lambda n: n.rtt),
    _Row(COUNTER, "node_replies", "Replies received.", lambda n: n.answered),
    _Row(COUNTER, "node_dials", "Attempts to open a lane.", lambda n: n.dials),
)
_OF_NEAR_CACHE: tuple[_Row[NearCacheStats], ...] = (
    _Row(COUNTER, "near_cache_hits", "Reads answered from this process.", lambda c: c.hits),
    _Row(COUNTER, "near_cache_misses", "Reads that a server had to answer.", lambda c: c.misses),
    _Row(COUNTER, "near_cache_invalidations", "Invalidations received.", lambda c: c.invalidations),
    _Row(COUNTER, "near_cache_flushes", "Servers forgotten as a whole.", lambda c: c.flushes),
    _Row(COUNTER, "near_cache_evictions", "Replies dropped for space.", lambda c: c.evictions),
    _Row(GAUGE, "near_cache_entries", "Replies that are kept.", lambda c: c.entries),
    _Row(GAUGE, "near_cache_bytes", "Their size.", lambda c: c.bytes),
)
_CLIENT = ("client", "master_name")
_NODE = (*_CLIENT, "node")
_STATES = ("closed", "half_open", "open")


class ClientCollector(Collector):
    """
    The figures of one client, or of several by name, as a collector:
    ``REGISTRY.register(ClientCollector(redis))``.

    All have the labels ``client``, its name (``default`` where it has none), and ``master_name``;
    those of a server its address, ``node``. Counters of a server begin anew when it leaves the
    group and comes back. May be scraped from any thread, and while a client is closed.
    """

    def __init__(self, clients: RedisClient | Mapping[str, RedisClient]) -> None:
        named = clients if isinstance(clients, Mapping) else {"default": clients}
        self._clients = dict(named)

    def collect(self) -> Iterator[Metric]:
        """
        The metrics now.
        """
        stats: dict[Labels, ClientStats] = {
            (name, client.settings.master_name): client.stats()
            for name, client in self._clients.items()
        }
        nodes: dict[Labels, NodeStats] = {
            (*labels, str(node.address)): node for labels, s in stats.items() for node in s.nodes
        }
        near: dict[Labels, NearCacheStats] = {
            labels: s.near_cache for labels, s in stats.items() if s.near_cache is not None
        }
        yield from _metrics(_OF_CLIENT, _CLIENT, stats)
        yield from _metrics(_OF_NODE, _NODE, nodes)
        yield from _metrics(_OF_NEAR_CACHE, _CLIENT, near)
        yield _roles(nodes)
        yield _breakers(stats)


def _metrics(rows: tuple[_Row[T], ...], labels: Labels, of: Mapping[Labels, T]) -> Iterator[Metric]:
    for row in rows:
        metric = row.family(f"sahool_cache_{row.name}", row.help, labels=labels)
        for values, figures in of.items():
            value = row.read(figures)
            if value is not None:
                metric.add_metric(values, value)
        yield metric


def _roles(nodes: Mapping[Labels, NodeStats]) -> Metric:
    metric = GaugeMetricFamily(
        "sahool_cache_node_info", "The role that a server has told.", labels=(*_NODE, "role")
    )
    for labels, node in nodes.items():
        metric.add_metric((*labels, node.role or "unknown"), 1)
    return metric


def _breakers(stats: Mapping[Labels, ClientStats]) -> Metric:
    metric = GaugeMetricFamily(
        *("sahool_cache_breaker_state", "1 for the state that a server's circuit breaker is in."),
        labels=(*_NODE, "state"),
    )
    for labels, each in stats.items():
        for node, now in each.breakers.items():
            for state in _STATES:
                metric.add_metric((*labels, str(node), state), state == now)
    return metric
