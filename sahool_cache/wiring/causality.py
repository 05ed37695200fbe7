"""
Read your writes: what a scope has written, and which servers have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self

from sahool_cache.address import Address
from sahool_cache.routing.topology import Topology

__all__ = ["Causality", "Moment"]

_TOKEN = re.compile(r"(\d{1,19})(\+?):(\d{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    A place in the group's stream of writes: who was master (`order` of the snapshot), and how many
    bytes it had replicated by then, or None where it does not tell: only a master has that.
    """

    order: tuple[int, bool]
    offset: int | None

    @classmethod
    def parse(cls, token: object) -> Self:
        """
        The moment in a token; raises `ValueError`.
        """
        found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
        if found is None:
            raise ValueError("after must be the token of a scope")
        epoch, provisional, offset = found.groups()
        return cls(order=(int(epoch), bool(provisional)), offset=int(offset) if offset else None)

    def __str__(self) -> str:
        epoch, provisional = self.order
        return f"{epoch}{'+' if provisional else ''}:{'' if self.offset is None else self.offset}"

    def __or__(self, other: Moment) -> Moment:
        """
        The later of the two; of one master's, the one that asks for more.
        """
        if self.order != other.order:
            return max(self, other, key=lambda each: each.order)
        if self.offset is None or other.offset is None:
            return self if self.offset is None else other
        return max(self, other, key=lambda each: each.offset or 0)


class Causality:
    """
    What a scope has seen, `after` at first: its reads come from servers that have it as well.
    """

    def __init__(self, after: Moment | None = None) -> None:
        self.seen = after

    def wrote(self, topology: Topology, role: Any) -> None:
        """
        Notes a write; `role` is the master's reply to ROLE after it, or no such reply.
        """
        told = isinstance(role, list) and len(role) > 1 and isinstance(role[1], int)
        moment = Moment(order=topology.order, offset=role[1] if told else None)
        self.seen = moment if self.seen is None else self.seen | moment

    def known_to(self, topology: Topology) -> bool:
        """
        Whether that snapshot is no older than what was seen.
        """
        return self.seen is None or self.seen.order <= topology.order

    def held_by(
        self, role: Any, topology: Topology, reachable: Callable[[Address], Address]
    ) -> bool:
        """
        Whether a replica has all of it, by its reply to ROLE: it follows our master, and as far.
        """
        seen = self.seen
        if seen is None:
            return True
        if seen.offset is None or seen.order != topology.order:
            return False
        if not (isinstance(role, list) and len(role) > 4 and isinstance(role[4], int)):
            return False
        host = role[1].decode("utf-8", "replace") if isinstance(role[1], bytes) else str(role[1])
        told = Address.told(host, str(role[2]))
        named = None if told is None else reachable(told)
        # A host's name may be known to the servers only; that it follows our master is then as
        # new as the last look at the rotation.
        follows = named == topology.master or not _is_ip(host)
        return follows and role[4] >= seen.offset


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
