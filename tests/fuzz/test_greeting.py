"""
A greeting without sense, or an address that is none, is a connection that could not be made.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from sahool_cache.address import Address
from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.node import Node
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import NetworkDialler
from tests.unit.clock import virtual
from tests.unit.wires import FakeWire

SETTINGS = RedisSettings.isolated(sentinels=["h"], master_name="m", socket_connect_timeout=1)


async def dial(address: Address) -> None:
    opened, _ = NetworkDialler(SETTINGS).server(address)
    await opened(address)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "greeting",
    [
        *(b"-MOVED x\r\n", b"-ASK\r\n", b"-\r\n", b":1\r\n", b"*0\r\n", b"_\r\n", b"%0\r\n"),
        *(b"*3\r\n:1\r\n:2\r\n:3\r\n", b"%1\r\n:1\r\n:2\r\n", b"%1\r\n+role\r\n*0\r\n", b">0\r\n"),
        *(b"\0", b"$4\r\n\xff\xff\xff\xff\r\n", b"%1\r\n*0\r\n:1\r\n", b"#t\r\n", b",nan\r\n"),
    ],
)  # fmt: skip
async def test_a_greeting_without_sense_is_a_connection_that_could_not_be_made(
    greeting: bytes,
) -> None:
    ended = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(greeting)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        with pytest.raises(DialFailed):
            await dial(Address(*server.sockets[0].getsockname()))
        await ended.wait()
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("address", [("a" * 70, 1), ("\0", 1), ("", 1), ("127.0.0.1", 70_000)])
async def test_an_address_that_is_none_is_a_connection_that_could_not_be_made(
    address: tuple[str, int],
) -> None:
    with pytest.raises(DialFailed):
        await dial(Address(*address))


@virtual
async def test_a_role_that_is_told_without_sense_is_no_role() -> None:
    for reply in (b":1\r\n", b"*1\r\n+role\r\n", b"_\r\n", b"%0\r\n", b"+role\r\n"):
        wire = FakeWire()
        wire.on_write = lambda _data: None

        async def opened(_address: Address, wire: FakeWire = wire) -> FakeWire:
            return wire

        options = LaneOptions(count=1, budget=1.0, quiet_after=0.2, silence_limit=5.0)
        node = Node(Address("h", 1), dial=opened, options=options, random=Random(1))
        running = asyncio.create_task(node.run())
        await asyncio.sleep(0.1)
        asking = asyncio.create_task(node.ask_role(1.0))
        await asyncio.sleep(0.1)
        wire.feed(reply)
        assert await asking is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
