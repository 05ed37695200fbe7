"""
Which server a backup is taken from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.servers import Servers, pairs, read_info
from sahool_cache.client import RedisClient

__all__ = ["Source", "find_sources"]

_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    A server to take the backup from, and what it said of itself.

    `announce` is the address that a master lists us under, see `_stand_in`.
    """

    address: Address
    role: str
    version: str
    offset: int
    epoch: int
    announce: tuple[str, int] | None = None


async def find_sources(
    redis: RedisClient,
    servers: Servers,
    *,
    chosen: Address | None,
    allow_master: bool,
    within: float,
) -> list[Source]:
    """
    Servers that are fit for it, the best first: replicas that keep up, the one with the most data
    first; the master alone if it was `chosen`, or if no replica is fit and it is allowed.

    Raises `Refused` that says why there is none, at the latest after `within` seconds.
    """
    await redis.wait_ready(within)
    wanted = await _candidates(redis, chosen, within)
    known = redis.topology
    if chosen is not None and not wanted:
        raise Refused(f"{chosen} is no server of this group")
    if chosen == known.master and not allow_master:
        raise Refused(f"{chosen} is the master: pass --allow-master if it is meant")
    found, reasons = await _fit(servers, wanted, known.epoch)
    if not found and chosen is None and allow_master and known.master is not None:
        found, reasons = await _fit(servers, (known.master,), known.epoch)
    if not found:
        others = {each: "it does not keep up" for each in known.replicas if chosen is None}
        told = "; ".join(f"{each}: {why}" for each, why in (others | reasons).items())
        raise Refused(
            f"no replica is fit for a backup ({told or 'none is known'})"
            + (" - --allow-master takes it from the master" if chosen is None else ""),
            ExitStatus.DOWN,
        )
    return [
        replace(each, announce=await _stand_in(redis, servers)) if each.role == "master" else each
        for each in found
    ]


async def _candidates(
    redis: RedisClient, chosen: Address | None, within: float
) -> tuple[Address, ...]:
    # A client that was opened a moment ago has not heard of everybody.
    loop = asyncio.get_running_loop()
    until = loop.time() + within
    while True:
        known = redis.topology
        if chosen is None:
            wanted = known.in_rotation
        else:
            wanted = (chosen,) if chosen in {known.master, *known.replicas} else ()
        if wanted or loop.time() >= until:
            return wanted
        await asyncio.sleep(_LOOK_EVERY)


async def _fit(
    servers: Servers, addresses: Sequence[Address], epoch: int
) -> tuple[list[Source], dict[Address, str]]:
    found: list[Source] = []
    reasons: dict[Address, str] = {}
    replies = await servers.ask_each(addresses, ("INFO", "server"), ("INFO", "replication"))
    for address, answer in replies.items():
        wrong = next((each for each in answer if isinstance(each, Exception)), None)
        if isinstance(answer, str) or wrong is not None:
            reasons[address] = str(wrong or answer)
            continue
        info = read_info(answer[0]) | read_info(answer[1])
        is_master = info.get("role") == "master"
        if not is_master and info.get("master_link_status") != "up":
            reasons[address] = "its link to the master is down"
            continue
        version = info.get("valkey_version") or info.get("redis_version", "")
        offset = int(info.get("master_repl_offset", 0))  # a replica's own, too
        role = "master" if is_master else "replica"
        found.append(
            Source(address=address, role=role, version=version, offset=offset, epoch=epoch)
        )
    found.sort(key=lambda each: -each.offset)
    return found, reasons


async def _stand_in(redis: RedisClient, servers: Servers) -> tuple[str, int] | None:
    # A master lists us among its replicas, and the sentinels believe it: they would remember a
    # replica at port 0 until somebody resets them. One that they know already is nothing new.
    answers = await servers.ask_each_sentinel(
        redis.topology.sentinels, ("SENTINEL", "REPLICAS", redis.settings.master_name)
    )
    for answer in answers.values():
        if isinstance(answer, list) and isinstance(answer[0], list):
            for replica in map(pairs, answer[0]):
                if str(replica.get("port")) != "0":
                    return str(replica["ip"]), int(replica["port"])
    return None
