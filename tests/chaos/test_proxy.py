"""
The proxy does to connections what its mode says, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.address import Address
from sahool_cache.embedded import EmbeddedSentinel
from tests.chaos.proxy import ProxiedGroup, Proxy
from tests.integration.observe import eventually, open_sockets, other_tasks

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest_asyncio.fixture
async def target() -> AsyncIterator[Address]:
    """
    A server that sends back what it gets.
    """
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield Address(*server.sockets[0].getsockname())


async def dial(proxy: Proxy) -> Streams:
    return await asyncio.open_connection(*proxy.address)


async def answer(streams: Streams, text: bytes, timeout: float = 5.0) -> bytes:
    reader, writer = streams
    writer.write(text)
    async with asyncio.timeout(timeout):
        return await reader.readexactly(len(text))


async def bytes_within(streams: Streams, seconds: float) -> bytes:
    """
    What arrives in that time.
    """
    got = b""
    try:
        async with asyncio.timeout(seconds):
            while data := await streams[0].read(4096):
                got += data
    except TimeoutError:
        pass
    return got


@pytest.mark.asyncio
async def test_passes_bytes_and_the_end_of_a_stream_both_ways(target: Address) -> None:
    """
    What is sent comes back whole, counted, also after the client has sent its end.
    """
    async with Proxy(target) as proxy:
        reader, writer = await dial(proxy)
        sent = bytes(range(256)) * 4000
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read(-1) == sent
        writer.close()
        assert (proxy.accepted, proxy.to_target, proxy.to_client) == (1, len(sent), len(sent))
        assert await eventually(lambda: proxy.connections == 0)


@pytest.mark.asyncio
async def test_black_hole_holds_everything_until_it_ends(target: Address) -> None:
    """
    Old and new connections hear nothing, and the target hears nothing; later all arrives, in order.
    """
    async with Proxy(target) as proxy:
        old = await dial(proxy)
        assert await answer(old, b"before") == b"before"
        proxy.mode = "black_hole"
        new = await dial(proxy)
        passed = proxy.to_target
        for streams in (old, new):
            streams[1].write(b"in the dark, ")
        assert await bytes_within(old, 0.2) == b""
        assert await bytes_within(new, 0.05) == b""
        assert proxy.to_target == passed
        proxy.mode = "pass"
        for streams in (old, new):
            assert await answer(streams, b"") == b""
            streams[1].write(b"in the light")
            async with asyncio.timeout(5):
                assert await streams[0].readexactly(25) == b"in the dark, in the light"
            streams[1].close()


@pytest.mark.asyncio
async def test_black_hole_takes_no_more_than_the_buffers_hold(target: Address) -> None:
    """
    Who sends without end is stopped by back pressure, as by a peer that has vanished.
    """
    async with Proxy(target) as proxy:
        proxy.mode = "black_hole"
        _, writer = await dial(proxy)
        writer.write(bytes(30_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()
        writer.transport.abort()


@pytest.mark.asyncio
async def test_trickle_lets_single_bytes_through(target: Address) -> None:
    """
    Some bytes arrive, far fewer than were sent, and the rest at once when the mode changes.
    """
    async with Proxy(target, trickle_every=0.01) as proxy:
        streams = await dial(proxy)
        assert await answer(streams, b"x") == b"x"
        proxy.mode = "trickle"
        streams[1].write(b"y" * 500)
        got = await bytes_within(streams, 0.5)
        assert 1 <= len(got) <= 50
        proxy.mode = "pass"
        async with asyncio.timeout(2):
            await streams[0].readexactly(500 - len(got))
        streams[1].close()


@pytest.mark.asyncio
async def test_refuses_newcomers_only_and_takes_them_again(target: Address) -> None:
    """
    Nobody listens then; a connection that was there goes on; the address stays.
    """
    async with Proxy(target) as proxy:
        old, address = await dial(proxy), proxy.address
        assert await answer(old, b"1") == b"1"
        proxy.mode = "refuse"
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
        assert await answer(old, b"2") == b"2"
        proxy.mode = "pass"
        new = await dial(proxy)
        assert await answer(new, b"3") == b"3"
        assert proxy.address == address
        old[1].close()
        new[1].close()


@pytest.mark.parametrize("mode", ["pass", "black_hole", "trickle"])
@pytest.mark.asyncio
async def test_reset_is_a_reset_in_every_mode(target: Address, mode: str) -> None:
    """
    Not an end of the stream: `ConnectionResetError`, at once, on every connection.
    """
    async with Proxy(target) as proxy:
        several = [await dial(proxy) for _ in range(5)]
        for streams in several:
            await answer(streams, b"x")
        proxy.mode = mode  # type: ignore[assignment]
        started = time.monotonic()
        assert await proxy.reset_all() == 5
        for reader, writer in several:
            with pytest.raises(ConnectionResetError):
                async with asyncio.timeout(1):
                    await reader.read(1)
            writer.transport.abort()
        assert time.monotonic() - started < 0.5
        assert proxy.connections == 0


@pytest.mark.asyncio
async def test_a_dead_target_resets_the_client() -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        nobody = Address(*server.sockets[0].getsockname())
    async with Proxy(nobody) as proxy:
        reader, writer = await dial(proxy)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(1):
                await reader.read(1)
        writer.transport.abort()


@pytest.mark.parametrize("mode", ["pass", "black_hole", "trickle", "refuse"])
@pytest.mark.asyncio
async def test_close_leaves_no_task_and_no_socket(target: Address, mode: str) -> None:
    tasks, sockets = other_tasks(), open_sockets()
    async with Proxy(target) as proxy:
        several = [await dial(proxy) for _ in range(3)]
        for streams in several:
            await answer(streams, b"x")
        proxy.mode = mode  # type: ignore[assignment]
        several[0][1].write(b"in flight")
        await asyncio.sleep(0.02)
    for _, writer in several:
        writer.transport.abort()
    assert await eventually(lambda: open_sockets() == sockets, 2)
    assert await eventually(lambda: other_tasks() == tasks, 2)


@pytest.mark.asyncio
async def test_client_of_a_proxied_group_uses_nothing_but_the_proxies() -> None:
    """
    Every connection of the client, to servers and sentinels, goes through the proxies; those
    of the group do not.
    """
    async with ProxiedGroup(EmbeddedSentinel(replicas=1)) as group:
        assert [proxy.accepted for proxy in group.proxies] == [0] * 5
        settings = group.settings.model_copy(update={"client_name": "behind-proxies"})
        async with RedisClient(settings) as redis:
            await redis.set("k", "v")
            assert redis.topology.master == group.proxy_of(group.master).address
            for node in (group.master, *group.sentinels):
                assert await eventually(lambda node=node: group.proxy_of(node).connections)
            for node in (group.master, *group.replicas):
                listed = str(await group.command(node, "CLIENT", "LIST"))
                seen = listed.count("name=behind-proxies")
                assert seen <= group.proxy_of(node).connections
                assert seen or node is not group.master
            group.proxy_of(group.master).mode = "refuse"
            assert await group.reset_all()
            assert await group.command(group.master, "PING") == "PONG"
            group.proxy_of(group.master).mode = "pass"
            assert await redis.get("k") == "v"
