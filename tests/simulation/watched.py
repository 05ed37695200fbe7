"""
What one sentinel knows of one server.
"""

from __future__ import annotations

from dataclasses import dataclass

from sahool_cache.address import Address
from tests.simulation.servers import Server

__all__ = ["MASTER_NAME", "Watched"]

MASTER_NAME = "simulated"


@dataclass(slots=True)
class Watched:
    """
    A server as a sentinel last saw it; moments are on the loop's clock.
    """

    server: Server
    answered_at: float
    connected: bool = True
    down: bool = False
    up_since: float = 0.0
    asked_at: float = 0.0
    reports: str = "replica"
    reports_since: float = 0.0
    follows: Address | None = None
    link_up: bool = True
    reconfigured: str = ""

    @property
    def address(self) -> Address:
        return self.server.address

    def info(self, now: float) -> None:
        """
        Takes over what the server's INFO says.
        """
        server = self.server
        self.asked_at = now
        follows = server.master.address if server.master is not None else None
        if (server.role, follows) != (self.reports, self.follows):
            self.reports, self.follows, self.reports_since = server.role, follows, now
        self.link_up = server.linked or server.master is None
