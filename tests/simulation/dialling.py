"""
The client's side of the simulated network: wires for its lanes, greeted as real ones are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis

from sahool_cache.address import Address
from sahool_cache.connection.entries import read_error
from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.packing import pack
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.sentinel import SentinelChannel
from sahool_cache.connection.wire import Wire
from sahool_cache.settings import RedisSettings
from tests.simulation.network import CLIENT, Connection, Network

__all__ = ["SimulatedDialler", "SimulatedTransport", "SimulatedWire"]

_HELLO = pack(("HELLO", "3"))

Written = Callable[[Address, bytes], None]
"""Told of every write of the client, at the moment of writing."""


class SimulatedTransport(asyncio.WriteTransport):
    """
    Writes into the network; never has anything left to send.
    """

    def __init__(self, wire: SimulatedWire) -> None:
        super().__init__()
        self._wire = wire

    def write(self, data: Any) -> None:
        self._wire.write(bytes(data))

    def abort(self) -> None:
        self._wire.cut()

    def close(self) -> None:
        self._wire.cut()

    def is_closing(self) -> bool:
        return self._wire.is_cut

    def get_write_buffer_size(self) -> int:
        return 0


class SimulatedWire:
    """
    One connection of the client.
    """

    def __init__(self, connection: Connection, written: Written) -> None:
        self.role: str | None = None
        self.client_id: int | None = None
        self.is_cut = False
        self._connection = connection
        self._written = written
        self._ended = False
        self._lost: Callable[[BaseException | None], None] | None = None

    async def greet(self) -> None:
        """
        Learns whom it reached. Raises `DialFailed`.
        """
        loop = asyncio.get_running_loop()
        greeted: asyncio.Future[Any] = loop.create_future()
        reader = hiredis.Reader(encoding="utf-8", replyError=read_error)

        def received(data: bytes) -> None:
            reader.feed(data)
            reply = reader.gets()
            if reply is not False and not greeted.done():
                greeted.set_result(reply)

        def lost(_error: BaseException | None) -> None:
            self._ended = True
            if not greeted.done():
                greeted.set_result(DialFailed("closed during the greeting"))

        near = self._connection.near
        near.received, near.lost = received, lost
        self.write(_HELLO)
        reply = await greeted
        if isinstance(reply, Exception):
            raise DialFailed(str(reply))
        self.role, self.client_id = reply["role"], reply["id"]

    def attach(
        self, received: Callable[[bytes], None], lost: Callable[[BaseException | None], None]
    ) -> asyncio.WriteTransport:
        self._lost = lost
        near = self._connection.near
        near.received, near.lost = received, self._gone
        if self._ended:
            asyncio.get_running_loop().call_soon(self._gone, None)
        return SimulatedTransport(self)

    def _gone(self, error: BaseException | None) -> None:
        self.cut()
        if self._lost is not None:
            self._lost(error)

    def write(self, data: bytes) -> None:
        """
        Sends bytes; after the end they go nowhere, as with a real transport.
        """
        if not self.is_cut:
            self._written(self._connection.address, data)
            self._connection.near.send(data)

    def cut(self) -> None:
        """
        Ends the connection at once; the lane hears of it a moment later, as asyncio does it.
        """
        if not self.is_cut:
            self.is_cut = True
            self._connection.near.close()
            if self._lost is not None:
                asyncio.get_running_loop().call_soon(self._lost, None)


class SimulatedDialler:
    """
    Dials in the simulated network. There are no exclusive connections.
    """

    def __init__(self, network: Network, settings: RedisSettings, written: Written) -> None:
        self._network = network
        self._settings = settings
        self._written = written

    def server(
        self, address: Address
    ) -> tuple[Callable[[Address], Awaitable[Wire]], ExclusivePool | None]:
        async def dial(address: Address) -> Wire:
            return await self._greeted(address, self._settings.socket_connect_timeout)

        return dial, None

    async def sentinel(self, address: Address) -> SentinelChannel:
        timeout = self._settings.sentinel_timeout
        return SentinelChannel(await self._greeted(address, timeout * 3), timeout=timeout)

    async def _greeted(self, address: Address, timeout: float) -> SimulatedWire:
        wire: SimulatedWire | None = None
        try:
            async with asyncio.timeout(timeout):
                wire = SimulatedWire(await self._network.connect(CLIENT, address), self._written)
                await wire.greet()
        except BaseException as error:
            if wire is not None:
                wire.cut()
            if isinstance(error, TimeoutError):
                raise DialFailed(f"no greeting within {timeout:g} s") from error
            if isinstance(error, OSError):
                raise DialFailed(str(error)) from error
            raise
        return wire
