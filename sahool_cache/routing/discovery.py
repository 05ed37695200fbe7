"""
What one sentinel says of the group, asked in one write and read without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sahool_cache.address import Address

__all__ = [
    "NotMonitored",
    "SentinelView",
    "brief_questions",
    "questions",
    "read_brief_view",
    "read_view",
]


class NotMonitored(Exception):
    """
    The sentinel answers, but monitors no master of that name.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelView:
    """
    The group as one sentinel sees it. `peers` maps the other sentinels' run ids to addresses.
    """

    sentinel: Address
    run_id: str
    master: Address
    epoch: int
    flags: frozenset[str]
    down_after: float
    quorum: int
    replicas: Mapping[Address, frozenset[str]] = field(default_factory=dict)
    peers: Mapping[str, Address] = field(default_factory=dict)

    @property
    def failover_in_sight(self) -> bool:
        """
        Whether this sentinel holds the master for down, or is replacing it.
        """
        return bool(self.flags & {"s_down", "o_down", "failover_in_progress"})

    @property
    def members(self) -> tuple[Address, ...]:
        """
        The replicas, in a steady order.
        """
        return tuple(sorted(each for each in self.replicas if each != self.master))


def questions(name: str) -> tuple[tuple[str, ...], ...]:
    """
    The commands whose replies `read_view` takes, in order; one round trip together.

    GET-MASTER-ADDR-BY-NAME and not SENTINEL MASTER names the address: on the leader of a
    failover the latter holds on to the old master for another second.
    """
    return (
        ("SENTINEL", "MYID"),
        ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
        ("SENTINEL", "MASTER", name),
        ("SENTINEL", "REPLICAS", name),
        ("SENTINEL", "SENTINELS", name),
    )


def read_view(
    sentinel: Address,
    name: str,
    replies: Sequence[Any],
    reachable: Callable[[Address], Address],
) -> SentinelView:
    """
    The view in one sentinel's replies; announced addresses become reachable ones.

    Raises `NotMonitored`, the error reply that says why the sentinel did not tell, or whatever
    error it is that replies of another shape lead to.
    """
    run_id, address, master, replicas, peers = replies
    return replace(
        _read_master(sentinel, name, address, master, reachable),
        run_id="" if isinstance(run_id, Exception) else _text(run_id),
        replicas={
            reachable(address): _flags(each) | _link_flag(each)
            for address, each in _rows(replicas)
        },
        peers={each.get("runid", ""): reachable(address) for address, each in _rows(peers)},
    )  # fmt: skip


def brief_questions(name: str) -> tuple[tuple[str, ...], ...]:
    """
    The commands whose replies `read_brief_view` takes: what changes while a failover goes on.
    """
    return questions(name)[1:3]


def read_brief_view(
    known: SentinelView,
    name: str,
    replies: Sequence[Any],
    reachable: Callable[[Address], Address],
) -> SentinelView:
    """
    The same sentinel's view anew, its replicas and peers as they were known. Raises like
    `read_view`.
    """
    address, master = replies
    view = _read_master(known.sentinel, name, address, master, reachable)
    return replace(view, run_id=known.run_id, replicas=known.replicas, peers=known.peers)


def _read_master(
    sentinel: Address,
    name: str,
    address: Any,
    master: Any,
    reachable: Callable[[Address], Address],
) -> SentinelView:
    if isinstance(master, Exception):
        if "No such master" in str(master):
            raise NotMonitored(f"monitors no master named {name!r}")
        raise master
    if isinstance(address, Exception):
        raise address
    if not address:
        raise NotMonitored(f"monitors no master named {name!r}")
    told = Address.told(_text(address[0]), _text(address[1]))
    if told is None:
        raise ValueError("names a master that has no address")
    state = _fields(master)
    return SentinelView(
        sentinel=sentinel,
        run_id="",
        master=reachable(told),
        epoch=int(state.get("config-epoch", 0)),
        flags=_flags(state),
        down_after=int(state.get("down-after-milliseconds", 30_000)) / 1000,
        quorum=int(state.get("quorum", 0)),
    )


def _rows(reply: Any) -> list[tuple[Address, dict[str, str]]]:
    if isinstance(reply, Exception):  # a right that is missing costs this detail only
        return []
    told = (
        (Address.told(row.get("ip", ""), row.get("port", "")), row) for row in map(_fields, reply)
    )
    return [(address, row) for address, row in told if address is not None]


def _fields(reply: Any) -> dict[str, str]:
    pairs = (
        reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=False)
    )
    return {_text(key): _text(value) for key, value in pairs}


def _flags(row: Mapping[str, str]) -> frozenset[str]:
    return frozenset(row.get("flags", "").split(","))


def _link_flag(row: Mapping[str, str]) -> frozenset[str]:
    return frozenset() if row.get("master-link-status", "ok") == "ok" else frozenset({"link_err"})


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
