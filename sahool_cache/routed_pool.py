"""
What redis-py's own classes take for a pool.
"""

from __future__ import annotations

from typing import Any

from sahool_cache.caller import Caller
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.policy.deadline import Deadline

__all__ = ["RoutedPool"]


class RoutedPool:
    """
    What redis-py's own classes take for a pool: lends connections to whoever is master now.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._lent: dict[ManagedConnection, Borrowed] = {}

    @property
    def connection_kwargs(self) -> dict[str, Any]:
        """
        What redis-py's own classes ask about connections.
        """
        return self._caller.get_connection_kwargs()

    def get_encoder(self) -> Any:
        """
        The caller's encoder.
        """
        return self._caller.get_encoder()

    async def get_connection(self, *_: object, deadline: Deadline | None = None) -> Any:
        """
        A connection of one's own to the master, within the caller's budget. Raises
        `UnavailableError`.
        """
        chain = await self._caller.ready()
        options = self._caller.options
        borrowed = await chain.servers.hold(deadline or options.deadline(), bare=True)
        connection = borrowed.connection
        self._lent[connection] = borrowed
        connection.decode_as(self.get_encoder())
        return connection

    async def release(self, connection: ManagedConnection) -> None:
        """
        Takes a connection back.
        """
        borrowed = self._lent.pop(connection, None)
        if borrowed is not None:
            borrowed.cut("subscriptions are not handed on")
