"""
A TCP proxy in this process, which can hold, slow down, refuse and reset; and a group behind such.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, Self

from sahool_cache import RedisSettings
from sahool_cache.address import Address
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.settings.fields import AddressMap

__all__ = ["Mode", "ProxiedGroup", "Proxy"]

Mode = Literal["pass", "black_hole", "trickle", "refuse"]

_CHUNK = 65536
_BACKLOG = 1024
_HARD_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends a reset


class Proxy:
    """
    Passes TCP connections on to `target`; `address` is where to connect while it is open.

    `mode` may be changed at any time and holds for the connections that there are, too:
    ``pass``; ``black_hole`` accepts and lets nothing through in either direction, what was
    sent arrives when the mode changes, as after a partition that heals; ``trickle`` lets one byte
    through every `trickle_every` seconds in each direction; ``refuse`` lets nobody in,
    and leaves the connections that there are alone. Holds at most 64 KiB per direction.
    """

    def __init__(self, target: Address, *, trickle_every: float = 0.003) -> None:
        self.target = target
        self.accepted = 0
        """Connections accepted so far."""
        self.to_target = 0
        """Bytes passed on to the target so far."""
        self.to_client = 0
        """Bytes passed on to clients so far."""
        self._trickle_every = trickle_every
        self._mode: Mode = "pass"
        self._flows = asyncio.Event()
        self._flows.set()
        self._listener: socket.socket | None = None
        self._address: Address | None = None
        self._links: set[_Link] = set()

    def __repr__(self) -> str:
        return f"<Proxy {self._address} -> {self.target}: {self._mode}, {len(self._links)} open>"

    async def __aenter__(self) -> Self:
        self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_listening()
        await self.reset_all()

    @property
    def address(self) -> Address:
        """
        Where it listens, the same for as long as it lives.
        """
        assert self._address is not None, "the proxy is not open"
        return self._address

    @property
    def mode(self) -> Mode:
        """
        What it does with connections and bytes.
        """
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse":
            self._stop_listening()
        elif self._listener is None:
            self._listen()
        if mode == "black_hole":
            self._flows.clear()
        else:
            self._flows.set()

    @property
    def connections(self) -> int:
        """
        How many connections it holds now.
        """
        return len(self._links)

    async def reset_all(self) -> int:
        """
        Resets (RST) every connection on both sides; says how many there were.
        """
        links = list(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)
        return len(links)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(0)
        listener.bind(self._address or ("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        self._address = Address(*listener.getsockname())
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:  # it went away before we came to it
            return
        self.accepted += 1
        link = _Link(self, client)
        self._links.add(link)
        link.task.add_done_callback(lambda _: self._links.discard(link))

    async def pass_on(self, data: bytes, sock: socket.socket) -> None:
        """
        Sends `data` as the mode of each moment wants it.
        """
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        while rest:
            await self._flows.wait()
            part = rest
            if self._mode == "trickle":
                await asyncio.sleep(self._trickle_every)
                part = rest[:1]
            await loop.sock_sendall(sock, part)
            rest = rest[len(part) :]

    async def flows(self) -> None:
        """
        Returns when bytes, and the end of a stream, may pass.
        """
        await self._flows.wait()


class _Link:
    """
    One connection: the client's socket, the target's, and the task that owns both.
    """

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = _ready(client)
        self._server = _ready(socket.socket())
        self._reset = False
        name = f"proxy of {proxy.target}"
        self.task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def reset(self) -> None:
        self._reset = True
        self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._proxy.flows()
            await asyncio.get_running_loop().sock_connect(self._server, self._proxy.target)
            async with asyncio.TaskGroup() as group:
                name = self.task.get_name()
                group.create_task(self._up(), name=f"{name}, up")
                group.create_task(self._down(), name=f"{name}, down")
        except* OSError:
            self._reset = True
        finally:
            for sock in (self._client, self._server):
                if self._reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HARD_CLOSE)
                sock.close()

    async def _up(self) -> None:
        async for data in self._read(self._client):
            await self._proxy.pass_on(data, self._server)
            self._proxy.to_target += len(data)
        await self._end(self._server)

    async def _down(self) -> None:
        async for data in self._read(self._server):
            await self._proxy.pass_on(data, self._client)
            self._proxy.to_client += len(data)
        await self._end(self._client)

    async def _read(self, sock: socket.socket) -> Any:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, _CHUNK):
            yield data

    async def _end(self, sock: socket.socket) -> None:
        await self._proxy.flows()
        sock.shutdown(socket.SHUT_WR)


def _ready(sock: socket.socket) -> socket.socket:
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class ProxiedGroup:
    """
    A group with a proxy in front of every server and sentinel, for the client under test only.

    The members reach one another directly, and `command` goes past the proxies too. For the rest
    it is the group that it was made of, and opens and closes it.
    """

    def __init__(self, group: EmbeddedSentinel) -> None:
        self._group = group
        self._stack = AsyncExitStack()
        self._proxies: dict[Address, Proxy] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._group, name)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(self._group)
            for node in (group.master, *group.replicas, *group.sentinels):
                proxy = await stack.enter_async_context(Proxy(node.address))
                self._proxies[node.address] = proxy
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._proxies.clear()
        await self._stack.aclose()

    @property
    def settings(self) -> RedisSettings:
        """
        Settings for a client that sees nothing of the group but the proxies.
        """
        ways = {address: proxy.address for address, proxy in self._proxies.items()}
        return self._group.settings.model_copy(
            update={
                "sentinels": tuple(ways[node.address] for node in self._group.sentinels),
                "address_map": AddressMap(ways.items()),
            }
        )

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """
        All of them, the servers' first.
        """
        return tuple(self._proxies.values())

    def proxy_of(self, node: Node) -> Proxy:
        """
        The proxy in front of that node.
        """
        return self._proxies[node.address]

    async def reset_all(self) -> int:
        """
        Resets every connection of every proxy; says how many there were.
        """
        return sum(await asyncio.gather(*(proxy.reset_all() for proxy in self.proxies)))
