"""
Whom the watcher tells what it found.
"""

from __future__ import annotations

from typing import Protocol

from sahool_cache.address import Address
from sahool_cache.routing.sentinel_link import SentinelLink
from sahool_cache.routing.topology import Topology

__all__ = ["Listener"]


class Listener(Protocol):
    """
    Whom the watcher tells; each call is synchronous and does no I/O.
    """

    def on_topology(self, new: Topology) -> None:
        """
        A new snapshot was published.
        """
        ...

    def on_fence(self, why: str, crash: bool) -> None:
        """
        Commands to the master are to be held; after a crash nothing in flight is waited for.
        """
        ...

    def on_fence_lifted(self, why: str) -> None:
        """
        Commands may flow again.
        """
        ...

    def on_announcement(self, event: str, node: Address | None) -> None:
        """
        A sentinel announced that a failover is near, or how far it has come.
        """
        ...

    def on_sentinel(self, link: SentinelLink) -> None:
        """
        A sentinel was connected or lost.
        """
        ...

    def on_round(self) -> None:
        """
        Every sentinel has been asked once more.
        """
        ...
