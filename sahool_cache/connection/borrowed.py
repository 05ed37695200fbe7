"""
An exclusive connection while it is lent.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sahool_cache.address import Address
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.pool import ExclusivePool

__all__ = ["Borrowed"]


class Borrowed:
    """
    An exclusive connection, lent until it is given back or cut; what is done to it after that
    does nothing, since it is somebody else's by then.
    """

    def __init__(self, node: Address, pool: ExclusivePool, connection: ManagedConnection) -> None:
        self.node = node
        self.pool = pool
        self.connection = connection
        self._ended = False

    @property
    def lane(self) -> Lane:
        """
        The connection's own lane; raises `LaneLost` when it is gone.
        """
        lane = self.connection.lane
        if self._ended or lane is None:
            raise LaneLost("the connection was cut", sent=False)
        return lane

    @property
    def usable(self) -> bool:
        """
        Whether the connection stands, and owes no reply.
        """
        lane = self.connection.lane
        return not self._ended and lane is not None and lane.lost is None and not lane.in_flight

    def give_back(self) -> None:
        """
        Hands the connection back; one that owes a reply is cut.
        """
        if not self._ended:
            self._ended = True
            self.pool.give_back(self.connection)

    def give_back_after(self, last: bytes, *, within: float) -> None:
        """
        Hands the connection back once a last command is answered, and ends it if that fails or
        takes too long. Nobody has to wait for it.
        """
        answer = self.lane.submit(last)
        give_up = asyncio.get_running_loop().call_later(within, self.cut, "the last reply is late")

        def answered(done: asyncio.Future[Any]) -> None:
            give_up.cancel()
            if done.exception() is None:
                self.give_back()
            else:
                self.cut("the last command failed")

        answer.add_done_callback(answered)

    def cut(self, why: str) -> None:
        """
        Ends the connection, whose state nobody may inherit, and hands its place back.
        """
        if self._ended:
            return
        self._ended = True
        if self.connection.lane is not None:
            self.connection.lane.abort(why)
        self.connection.cut()
        self.pool.give_back(self.connection)
