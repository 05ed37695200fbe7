"""
An exclusive connection while it is lent.
"""

from __future__ import annotations

from sahool_cache.address import Address
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.pool import ExclusivePool

__all__ = ["Borrowed"]


class Borrowed:
    """
    An exclusive connection, lent until `give_back()`.
    """

    def __init__(self, node: Address, pool: ExclusivePool, connection: ManagedConnection) -> None:
        self.node = node
        self.pool = pool
        self.connection = connection

    @property
    def lane(self) -> Lane:
        """
        The connection's own lane.
        """
        lane = self.connection.lane
        if lane is None:
            raise LaneLost("the connection was cut", sent=False)
        return lane

    def give_back(self) -> None:
        """
        Hands the connection back; one that owes a reply is cut.
        """
        self.pool.give_back(self.connection)

    def cut(self, why: str) -> None:
        """
        Ends the connection, whose state nobody may inherit, and hands its place back.
        """
        if self.connection.lane is not None:
            self.connection.lane.abort(why)
        self.connection.cut()
        self.pool.give_back(self.connection)
