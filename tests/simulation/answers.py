"""
What a simulated sentinel replies to its clients.
"""

from __future__ import annotations

from typing import Any

from sahool_cache.address import Address
from tests.simulation.resp import Failure, Simple
from tests.simulation.sentinels import Sentinel
from tests.simulation.watched import MASTER_NAME, Watched

__all__ = ["answer"]


def answer(sentinel: Sentinel, command: list[bytes]) -> Any:
    """
    The reply to a client's command.
    """
    words = [word.decode() for word in command]
    match [words[0].upper(), *(word.upper() for word in words[1:2]), *words[2:]]:
        case ["PING"]:
            return Simple("PONG")
        case ["HELLO", *_]:
            return {"server": "redis", "proto": 3, "id": 1, "role": "sentinel"}
        case ["SENTINEL", "MYID"]:
            return sentinel.run_id
        case ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name] if name == MASTER_NAME:
            return [sentinel.named.host, str(sentinel.named.port)]
        case ["SENTINEL", "MASTER", name] if name == MASTER_NAME:
            return _describe_master(sentinel)
        case ["SENTINEL", "REPLICAS", name] if name == MASTER_NAME:
            return [_describe_replica(sentinel, each) for each in sentinel.replicas.values()]
        case ["SENTINEL", "SENTINELS", name] if name == MASTER_NAME:
            return [_row(peer.address) | {"runid": peer.run_id} for peer in sentinel.peers]
    return Failure(f"ERR unknown command '{words[0]}'")


def _describe_master(sentinel: Sentinel) -> dict[str, str]:
    flags = ["master"]
    flags += ["s_down"] if sentinel.master.down else []
    flags += ["o_down"] if sentinel.objectively_down else []
    flags += ["failover_in_progress"] if sentinel.failover.state else []
    return _row(sentinel.master.address) | {
        "flags": ",".join(flags),
        "config-epoch": str(sentinel.config_epoch),
        "down-after-milliseconds": str(round(sentinel.options.down_after * 1000)),
        "quorum": str(sentinel.options.quorum),
    }


def _describe_replica(sentinel: Sentinel, watched: Watched) -> dict[str, str]:
    flags = ["slave"]
    flags += ["s_down"] if watched.down else []
    flags += [] if watched.connected else ["disconnected"]
    flags += ["promoted"] if watched is sentinel.failover.promoted else []
    return _row(watched.address) | {
        "flags": ",".join(flags),
        "master-link-status": "ok" if watched.link_up else "err",
    }


def _row(address: Address) -> dict[str, str]:
    return {"name": str(address), "ip": address.host, "port": str(address.port)}
