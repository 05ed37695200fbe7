from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from sahool_cache.address import Address
from tests.benchmarks.delay import delayed

DELAY = 0.02

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Address]:
    """
    Where a server listens that gives each connection to `answer`; all of them are over at the end.
    """
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await answer(reader, writer)
            writer.close()
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield Address(*server.sockets[0].getsockname())
        await asyncio.gather(*talks)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


async def say_bye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"bye")


@pytest.mark.asyncio
async def test_a_round_trip_takes_longer_by_the_delay() -> None:
    async with serving(echo) as target, delayed(target, DELAY) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"first")  # the proxy may still be dialling
        await reader.readexactly(5)
        began = time.perf_counter()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert time.perf_counter() - began >= DELAY
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_what_is_on_its_way_holds_up_nothing() -> None:
    """
    A hundred messages, sent without waiting, are not a hundred delays.
    """
    async with serving(echo) as target, delayed(target, 2 * DELAY) as address:
        reader, writer = await asyncio.open_connection(*address)
        began = time.perf_counter()
        for number in range(100):
            writer.write(b"%3d" % number)
            await asyncio.sleep(0)
        told = await reader.readexactly(300)
        assert told == b"".join(b"%3d" % number for number in range(100))
        assert time.perf_counter() - began < 100 * DELAY
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0.0, 0.002])
async def test_every_byte_arrives_in_order_and_then_the_end(seconds: float) -> None:
    sent = random.Random(1).randbytes(3_000_000)
    async with serving(echo) as target, delayed(target, seconds) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_the_end_comes_after_what_was_sent_before() -> None:
    async with serving(say_bye) as target, delayed(target, DELAY) as address:
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b"bye"
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_a_connection_that_ends() -> None:
    async with delayed(Address("127.0.0.1", 1), DELAY) as address:
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
