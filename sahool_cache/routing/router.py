"""
Which servers may take a command: a pure function of the command, the wish and the snapshot.
"""

from __future__ import annotations

from typing import Literal

from sahool_cache.address import Address
from sahool_cache.routing.topology import Topology

__all__ = ["ReadFrom", "candidates"]

ReadFrom = Literal["master", "replica", "replica_preferred", "nearest"]


def candidates(
    *, reads: bool, read_from: ReadFrom, topology: Topology
) -> tuple[tuple[Address, ...], ...]:
    """
    Servers in order of preference: each inner tuple is a set of equals, the next one serves
    when nobody of the first is usable. Empty where nobody may take the command now.
    """
    master = (topology.master,) if topology.master is not None else ()
    replicas = topology.in_rotation
    if not reads or read_from == "master":
        tiers: tuple[tuple[Address, ...], ...] = (master,)
    elif read_from == "replica":
        tiers = (replicas,)
    elif read_from == "replica_preferred":
        tiers = (replicas, master)
    else:
        tiers = (master + replicas,)
    return tuple(tier for tier in tiers if tier)
