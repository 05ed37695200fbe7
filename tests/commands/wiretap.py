"""
What reaches a server, word by word, as its MONITOR tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from redis.asyncio import Redis

from sahool_cache.address import Address

__all__ = ["Wiretap", "open_wiretap"]


class Wiretap:
    """
    Listens on a connection of its own.
    """

    def __init__(self, reader: asyncio.StreamReader, direct: Redis) -> None:
        self._reader = reader
        self._direct = direct
        self._marks = count()

    async def since(self, names: frozenset[str]) -> list[str]:
        """
        The commands of these names that came since it was asked last, as MONITOR writes them.
        """
        mark = f"mark:{next(self._marks)}"
        await self._direct.echo(mark)
        heard = []
        while mark not in (line := (await self._reader.readline()).decode()):
            words = line.partition("] ")[2].rstrip()
            if " lua] " not in line and words.partition(" ")[0].strip('"').upper() in names:
                heard.append(words)
        return heard


@asynccontextmanager
async def open_wiretap(address: Address, direct: Redis) -> AsyncIterator[Wiretap]:
    """
    A wiretap on that server, for which `direct` makes the marks.
    """
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"
        yield Wiretap(reader, direct)
    finally:
        writer.close()
        await writer.wait_closed()
