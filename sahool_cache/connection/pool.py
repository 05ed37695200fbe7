"""
A bounded, fair pool of exclusive connections to one server.

For what cannot share a lane: blocking commands, WATCH, subscriptions, MONITOR, `client()`.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import SentinelConnectionPool

from sahool_cache.address import Address
from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.handshake import ManagedConnection, greet
from sahool_cache.connection.lane import Lane

__all__ = ["ExclusivePool"]


class _Fixed:
    """
    What a `SentinelConnectionPool` asks for its master, answered with the one server it serves.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    async def discover_master(self, _name: str) -> tuple[str, int]:
        return self._address


class ExclusivePool(SentinelConnectionPool):
    """
    At most `size` connections, lent in the order in which they were asked for.
    """

    def __init__(
        self, address: Address, *, size: int, connect_timeout: float, **connection_options: Any
    ) -> None:
        super().__init__(
            str(address),
            _Fixed(address),
            connection_class=ManagedConnection,
            max_connections=size,
            **connection_options,
        )
        self.size = size
        self._connect_timeout = connect_timeout
        # asyncio's Semaphore is first come, first served; redis-py's BlockingConnectionPool
        # lets one half of the callers starve the other.
        self._places = asyncio.Semaphore(size)
        self._asking: set[asyncio.Timeout] = set()
        self._closed: str | None = None

    @property
    def in_use(self) -> int:
        """
        How many connections are lent.
        """
        return len(self._in_use_connections)

    @property
    def full(self) -> bool:
        """
        Whether every place is taken.
        """
        return self._places.locked()

    async def get_connection(self, *_command: object, **_options: object) -> ManagedConnection:
        """
        A connection that is greeted and nobody else's, as redis-py's own classes ask for it.

        Waits for a place; raises `DialFailed`, also when the pool is aborted meanwhile.
        """
        return await self._ask(bare=False)

    async def _ask(self, *, bare: bool) -> ManagedConnection:
        if self._closed is not None:
            raise DialFailed(self._closed)
        try:
            async with asyncio.timeout(None) as asking:
                self._asking.add(asking)
                try:
                    return await self._acquire(bare=bare)
                finally:
                    self._asking.discard(asking)
        except TimeoutError:
            raise DialFailed("cut before it was connected") from None

    async def _acquire(self, *, bare: bool) -> ManagedConnection:
        await self._places.acquire()
        try:
            connection = cast("ManagedConnection", self.get_available_connection())
        except BaseException:
            self._places.release()
            raise
        try:
            if connection.spent or (bare and connection.lane is not None):
                connection.cut()
            if not connection.is_connected:
                await greet(connection, self._connect_timeout)
        except BaseException:
            self._take_back(connection)
            raise
        return connection

    async def borrow(self) -> ManagedConnection:
        """
        Like `get_connection`, with a lane of its own on it.
        """
        connection = await self.get_connection()
        if connection.lane is None:
            try:
                connection.lane = _private_lane(connection, self.get_encoder().decode_responses)
            except ConnectionError as error:  # cut in the moment in which it was greeted
                self._take_back(connection)
                raise DialFailed("cut before it was used") from error
        return connection

    async def borrow_bare(self) -> ManagedConnection:
        """
        Like `get_connection`, for redis-py's PubSub and Monitor, which read by themselves.
        """
        return await self._ask(bare=True)

    async def release(self, connection: AbstractConnection) -> None:
        """
        Takes a connection back, as redis-py's own classes hand it.
        """
        self.give_back(cast("ManagedConnection", connection))

    def give_back(self, connection: ManagedConnection) -> None:
        """
        Takes a connection back; one that still owes a reply is cut first.
        """
        if connection.lane is not None and connection.lane.in_flight:
            connection.lane.abort("returned while a reply was due")
        self._take_back(connection)

    def _take_back(self, connection: ManagedConnection) -> None:
        if connection in self._in_use_connections:
            self._in_use_connections.remove(connection)
            connection.evicted = False
            if connection.spent:
                connection.cut()
            self._available_connections.append(connection)
            self._places.release()

    def cut_spent(self) -> None:
        """
        Ends the idle connections that should not be lent any more; they are made anew when needed.
        """
        for connection in cast("list[ManagedConnection]", self._available_connections):
            if connection.is_connected and connection.spent:
                connection.cut()

    def evict_waiting(self) -> list[int]:
        """
        Marks our connections that wait for a reply as evicted; the server's ids of them.
        """
        waiting = [
            connection
            for connection in cast("set[ManagedConnection]", self._in_use_connections)
            if connection.client_id is not None
            and connection.lane is not None
            and connection.lane.in_flight
        ]
        for connection in waiting:
            connection.evicted = True
        return [connection.client_id for connection in waiting if connection.client_id is not None]

    def close(self, why: str) -> None:
        """
        Cuts everything for good.
        """
        self._closed = why
        self.abort(why)

    def abort(self, why: str) -> None:
        """
        Cuts every connection, lent or idle; a lent one is made anew when it is next used. Who
        waits for one is refused: there may be another server to ask by now.
        """
        for asking in self._asking:
            if not asking.expired():
                asking.reschedule(0)
        everyone = [*self._available_connections, *self._in_use_connections]
        for connection in cast("list[ManagedConnection]", everyone):
            if connection.lane is not None:
                connection.lane.abort(why)
            connection.cut()


def _private_lane(connection: ManagedConnection, decode: bool) -> Lane:
    """
    A lane without sweeps: its one caller keeps the time, and may wait without end.
    """
    forever = float("inf")
    return Lane(
        connection, budget=forever, quiet_after=forever, silence_limit=forever, decode=decode
    )
