"""
How the group is doing: plain dictionaries for health routes, a frozen value for metrics.

Nothing here raises because Redis is down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoPermissionError

from sahool_cache.address import Address
from sahool_cache.connection.figures import NodeStats
from sahool_cache.connection.request import Single
from sahool_cache.events import MasterChanged
from sahool_cache.near_cache import NearCache, NearCacheStats
from sahool_cache.policy.deadline import Deadline
from sahool_cache.routing.topology import Topology
from sahool_cache.wiring.chain import Chain
from sahool_cache.wiring.options import CallOptions

__all__ = [
    "ClientStats",
    "check_health",
    "client_stats",
    "dashboard",
    "no_stats",
    "ping",
    "sentinel_info",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStats:
    """
    The client's figures now. `answered` counts replies since it was opened, `waiting` the calls
    in line, `repeats` attempts beyond the first, `breakers` the state per node. `near_cache` is
    None where there is none.
    """

    topology: Topology
    nodes: tuple[NodeStats, ...]
    breakers: dict[Address, str]
    answered: int
    in_flight: int
    waiting: int
    repeats: int
    failovers: int
    last_failover: MasterChanged | None
    near_cache: NearCacheStats | None = None


def client_stats(chain: Chain, near_cache: NearCache | None = None) -> ClientStats:
    """
    Collects the figures; no I/O.
    """
    fleet = chain.fleet
    nodes = tuple(member.node.stats() for member in fleet.members)
    return ClientStats(
        topology=fleet.topology,
        nodes=nodes,
        breakers={member.node.address: member.breaker.state for member in fleet.members},
        answered=sum(node.answered for node in nodes),
        in_flight=sum(node.in_flight for node in nodes),
        waiting=len(fleet.line),
        repeats=chain.retry.repeats,
        failovers=fleet.failovers,
        last_failover=fleet.last_failover,
        near_cache=near_cache.stats() if near_cache is not None else None,
    )


def no_stats(topology: Topology) -> ClientStats:
    """
    The figures of a client that is not open.
    """
    return ClientStats(
        topology=topology,
        nodes=(),
        breakers={},
        answered=0,
        in_flight=0,
        waiting=0,
        repeats=0,
        failovers=0,
        last_failover=None,
    )


async def ping(chain: Chain, options: CallOptions) -> bool:
    """
    Whether the master answers, within the options' budget.
    """
    try:
        await chain.send(Single(("PING",)), options)
    except NoPermissionError:  # an answer, too
        return True
    except Exception:  # noqa: BLE001  # whatever it is, the answer is no
        return False
    return True


async def check_health(chain: Chain, options: CallOptions) -> dict[str, Any]:
    """
    ``status`` and ``checks``; one round trip to the master.
    """
    alive = await ping(chain, options)
    fleet, watcher = chain.fleet, chain.fleet.watcher
    topology, master = fleet.topology, fleet.master
    answering = sum(1 for link in watcher.links.values() if link.connected and not link.error)
    breaker = master.breaker.state if master is not None else "closed"
    replicas = _replicas(chain)
    quorate = answering >= max(watcher.quorum, 1)
    well = (
        breaker == "closed"
        and not watcher.fenced
        and not topology.provisional
        and answering == len(watcher.links)
        and all(replica["in_rotation"] for replica in replicas)
    )
    last = fleet.last_failover
    return {
        "status": "unhealthy" if not alive else "healthy" if well and quorate else "degraded",
        "checks": {
            "master_ping": alive,
            "circuit_breaker": breaker,
            "master": str(topology.master) if topology.master is not None else None,
            "epoch": topology.epoch,
            "provisional": topology.provisional,
            "sentinels": {
                "known": len(watcher.links),
                "answering": answering,
                "quorum": watcher.quorum,
                "has_quorum": quorate,
            },
            "replicas": replicas,
            "pools": {
                str(node.address): {
                    "lanes": node.lanes,
                    "exclusive": node.exclusive,
                    "in_flight": node.in_flight,
                }
                for node in client_stats(chain).nodes
            },
            "waiting": len(fleet.line),
            "last_failover": None
            if last is None
            else {
                "from": str(last.old),
                "to": str(last.new),
                "epoch": last.epoch,
                "seconds_ago": round(chain.now() - last.at, 3),
                "outage_seconds": None if last.outage is None else round(last.outage, 3),
            },
        },
    }


def _replicas(chain: Chain) -> list[dict[str, Any]]:
    topology, lags = chain.fleet.topology, chain.fleet.rotation.lags
    return [
        {
            "address": str(address),
            "lag": lags.get(address),
            "in_rotation": address in topology.in_rotation,
        }
        for address in topology.replicas
    ]


async def sentinel_info(chain: Chain, timeout: float) -> dict[str, Any]:
    """
    ``master``, ``slaves`` and ``sentinels`` as the sentinels see them; asks each once.
    """
    watcher = chain.fleet.watcher
    rounds = watcher.rounds
    watcher.look()
    deadline = Deadline(timeout)
    while watcher.rounds == rounds and not (deadline.passed or chain.servers.closed):
        await asyncio.sleep(min(0.01, deadline.left))
    topology = chain.fleet.topology
    views = watcher.views.values()
    best = max(views, key=lambda view: view.epoch, default=None)
    master = topology.master or (best.master if best is not None else None)
    flags = best.replicas if best is not None else {}
    lags = chain.fleet.rotation.lags
    return {
        "master": None
        if master is None
        else {
            "name": chain.settings.master_name,
            "host": master.host,
            "port": master.port,
            "epoch": topology.epoch,
            "flags": sorted(best.flags) if best is not None else [],
            "quorum": watcher.quorum,
            "down_after": watcher.down_after,
        },
        "slaves": [
            {
                "host": address.host,
                "port": address.port,
                "flags": sorted(flags.get(address, ())),
                "lag": lags.get(address),
                "in_rotation": address in topology.in_rotation,
            }
            for address in topology.replicas
        ],
        "sentinels": [
            {
                "host": link.address.host,
                "port": link.address.port,
                "answers": link.error is None,
                "error": link.error,
            }
            for link in watcher.links.values()
        ],
    }


def dashboard(chain: Chain) -> str:
    """
    The state in one line, for `repr`.
    """
    fleet = chain.fleet
    topology, links = fleet.topology, fleet.watcher.links
    stats = client_stats(chain)
    breaker = fleet.master.breaker.state if fleet.master is not None else "closed"
    mark = "?" if topology.provisional else ""
    state = "up" if fleet.hot is not None else "fenced" if fleet.watcher.fenced else "down"
    return (
        f"{chain.settings.master_name} epoch {topology.epoch}{mark} | "
        f"master {topology.master} {state} | "
        f"replicas {len(topology.in_rotation)}/{len(topology.replicas)} | "
        f"sentinels {sum(link.connected for link in links.values())}/{len(links)} | "
        f"breaker {breaker} | {stats.in_flight} in flight, {stats.waiting} waiting"
    )
