"""
Whether a group could fail over now; asked before anything is done to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.health import STATUS, findings, settled_health
from sahool_cache.cli.servers import Servers, Unanswered, pairs
from sahool_cache.client import RedisClient
from sahool_cache.settings import RedisSettings

__all__ = ["Master", "ready_master"]

_WITHIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """
    The server that is to lose its role: where this client reaches it, what the sentinels announce.
    """

    name: str
    address: Address
    announced: Address


async def ready_master(settings: RedisSettings) -> Master:
    """
    The master of a group that can fail over: all is well, the sentinels could agree, and a
    replica could be promoted. Raises `Refused` with the reason otherwise.
    """
    async with RedisClient(settings) as redis, Servers(settings) as servers:
        found = await settled_health(redis, _WITHIN)
        master = redis.topology.master
        if master is None or found["status"] != "healthy":
            raise Refused(_unwell(found), STATUS[found["status"]])
        name, announced = settings.master_name, master
        for sentinel in redis.topology.sentinels:
            announced, quorum, replicas = await _asked(servers, sentinel, name)
            if isinstance(quorum, Exception):
                raise _refused(f"sentinel {sentinel}: {quorum}")
            if not any(map(_promotable, replicas)):
                raise _refused(f"sentinel {sentinel} knows of no replica that may be promoted")
    return Master(name=name, address=master, announced=announced)


async def _asked(
    servers: Servers, sentinel: Address, name: str
) -> tuple[Address, Any, list[dict[str, Any]]]:
    try:
        place, quorum, replicas = await servers.ask_sentinel(
            sentinel,
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
            ("SENTINEL", "CKQUORUM", name),
            ("SENTINEL", "REPLICAS", name),
        )
    except Unanswered as error:
        raise _refused(f"sentinel {sentinel}: {error}") from error
    announced = Address.told(*place) if isinstance(place, list) else None
    if announced is None or not isinstance(replicas, list):
        raise _refused(f"sentinel {sentinel} does not say who the master is")
    return announced, quorum, [pairs(each) for each in replicas]


def _promotable(replica: dict[str, Any]) -> bool:
    flags = str(replica.get("flags", "")).split(",")
    return "s_down" not in flags and replica.get("slave-priority", "100") != "0"


def _refused(why: str) -> Refused:
    return Refused(f"this group cannot fail over: {why}", ExitStatus.DEGRADED)


def _unwell(found: dict[str, Any]) -> str:
    wrong = [words for status, words in findings(found) if status is not ExitStatus.OK]
    wrong += [printable(found["why"])] if "why" in found else []
    return f"this group cannot be tested as it is: {'; '.join(wrong)}"
