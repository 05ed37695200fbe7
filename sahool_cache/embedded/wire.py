"""
Asks one server a few commands over a connection of their own, apart from any client under test.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from redis.exceptions import ResponseError

from sahool_cache.address import Address

__all__ = ["Argument", "Command", "Reply", "ask", "ask_now", "pairs"]

Argument = str | bytes | int | float
Command = Sequence[Argument]
Reply = str | int | None | ResponseError | list["Reply"]

_CHUNK = 65536


async def ask(
    address: Address, commands: Sequence[Command], *, password: str | None, timeout: float
) -> list[Reply]:
    """
    One reply per command; an error reply is a value of the list, not raised.

    Raises `OSError` (`TimeoutError` too) if the server does not answer all of them in time.
    """
    loop = asyncio.get_running_loop()
    exchange = _Exchange(commands, password)
    async with asyncio.timeout(timeout):
        with socket.socket() as sock:
            sock.settimeout(0)
            await loop.sock_connect(sock, address)
            await loop.sock_sendall(sock, exchange.request)
            while not exchange.feed(await loop.sock_recv(sock, _CHUNK)):
                pass
    return exchange.replies


def ask_now(
    address: Address, commands: Sequence[Command], *, password: str | None, timeout: float
) -> list[Reply]:
    """
    The same, for callers that cannot await: blocks for at most `timeout` per packet.
    """
    exchange = _Exchange(commands, password)
    with socket.create_connection(address, timeout) as sock:
        sock.sendall(exchange.request)
        while not exchange.feed(sock.recv(_CHUNK)):
            pass
    return exchange.replies


def pairs(reply: Reply) -> dict[str, str]:
    """
    The fields of an INFO text or of a flat field-value list; of anything else, none.
    """
    if isinstance(reply, str):
        lines = (line.partition(":") for line in reply.splitlines() if ":" in line)
        return {name: value for name, _, value in lines}
    if isinstance(reply, list):
        flat = [str(item) for item in reply]
        return dict(zip(flat[::2], flat[1::2], strict=False))
    return {}


class _Exchange:
    """
    The request's bytes, and the replies once enough bytes were fed.
    """

    __slots__ = ("_data", "_expected", "_login", "replies", "request")

    def __init__(self, commands: Sequence[Command], password: str | None) -> None:
        self._login = password is not None
        if password is not None:
            commands = [("AUTH", password), *commands]
        self.request = b"".join(map(_pack, commands))
        self.replies: list[Reply] = []
        self._expected = len(commands)
        self._data = b""

    def feed(self, chunk: bytes) -> bool:
        """
        True once every reply is there.
        """
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        self._data += chunk
        replies: list[Reply] = []
        position = 0
        try:
            while len(replies) < self._expected:
                reply, position = _parse(self._data, position)
                replies.append(reply)
        except _IncompleteError:
            return False
        if self._login and isinstance(login := replies.pop(0), ResponseError):
            raise login
        self.replies = replies
        return True


class _IncompleteError(Exception):
    """
    The reply's end has not arrived yet.
    """


def _pack(command: Command) -> bytes:
    arguments = [
        item if isinstance(item, bytes) else str(item).encode(errors="surrogateescape")
        for item in command
    ]
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(item), item) for item in arguments]
    return b"".join(parts)


def _parse(data: bytes, start: int) -> tuple[Reply, int]:
    end = data.find(b"\r\n", start)
    if end < 0:
        raise _IncompleteError
    kind, text, end = data[start : start + 1], data[start + 1 : end], end + 2
    if kind == b"+":
        return text.decode(), end
    if kind == b"-":
        return ResponseError(text.decode(errors="replace")), end
    if kind == b":":
        return int(text), end
    size = int(text)
    if size < 0:
        return None, end
    if kind == b"*":
        items: list[Reply] = []
        for _ in range(size):
            item, end = _parse(data, end)
            items.append(item)
        return items, end
    if len(data) < end + size + 2:
        raise _IncompleteError
    return data[end : end + size].decode(errors="surrogateescape"), end + size + 2
