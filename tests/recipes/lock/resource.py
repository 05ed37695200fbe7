"""
A resource that checks fences, shared by processes; and owners that write to it under a lock.

Run as a program it is one such owner: ``python -m tests.recipes.lock.resource``.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from random import random
from types import TracebackType
from typing import Self, cast

from sahool_cache import RedisClient, RedisSettings, SahoolCacheError
from sahool_cache.recipes.distributed_lock import DistributedLock

__all__ = ["Resource", "own"]


class Resource:
    """
    Refuses every write whose fence is lower than the highest it has accepted, or that another owner
    has used. Also compares what was granted, in the order in which it is told.

    ``async with Resource() as resource:`` serves it at `port`, a line per question.
    """

    def __init__(self) -> None:
        self.writes: list[tuple[str, int]] = []
        self.granted: list[int] = []
        self.refused = 0
        self.violations: list[str] = []
        self.late: list[str] = []
        self.errors: Counter[str] = Counter()
        self.port = 0
        self._asked: dict[str, int] = {}
        self._owner_of: dict[int, str] = {}
        self._server: asyncio.Server
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        if self._serving:  # until those who asked have gone
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            while line := await reader.readline():
                word, owner, rest = line.decode().split()
                answer = getattr(self, f"on_{word}")(owner, rest)
                writer.write(b"yes\n" if answer else b"no\n")
        except OSError:  # it was killed
            pass
        finally:
            writer.close()

    def on_asks(self, owner: str, _: str) -> bool:
        """
        The owner is about to acquire: what it gets must be higher than what was granted by now.
        """
        self._asked[owner] = max(self.granted, default=0)
        return True

    def on_granted(self, owner: str, fence: str) -> bool:
        number, before = int(fence), self._asked[owner]
        if number <= before:
            told = f"{owner} got {number:#x} after {before:#x} was granted"
            # An old master that was not told yet counts on in its own epoch; the resource refuses.
            (self.late if number >> 32 < before >> 32 else self.violations).append(told)
        if self._owner_of.setdefault(number, owner) != owner or number in self.granted:
            self.violations.append(f"{owner} got {number:#x}, which was granted before")
        self.granted.append(number)
        return True

    def on_writes(self, owner: str, fence: str) -> bool:
        number = int(fence)
        if self.writes and number < self.writes[-1][1]:
            self.refused += 1
            return False
        self.writes.append((owner, number))
        return True

    def on_fails(self, owner: str, error: str) -> bool:
        self.errors[error] += 1
        return True

    def interleaved(self) -> list[tuple[str, int]]:
        """
        Accepted writes of an acquisition that came after another one had begun to write.
        """
        seen: set[tuple[str, int]] = set()
        found = []
        for before, write in zip([None, *self.writes], self.writes, strict=False):
            if write != before and write in seen:
                found.append(write)
            seen.add(write)
        return found


class Remote:
    """
    The resource, from wherever an owner is.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()

    async def tell(self, word: str, owner: str, rest: object) -> bool:
        # To the end, also if the lock is lost meanwhile: a conversation is not cut short.
        return await asyncio.shield(self._tell(f"{word} {owner} {rest}\n"))

    async def _tell(self, line: str) -> bool:
        async with self._turn:
            self._writer.write(line.encode())
            return await self._reader.readline() == b"yes\n"


async def own(redis: RedisClient, port: int, owner: str, *, fair: bool) -> None:
    """
    Acquires, writes a few times and releases, again and again until cancelled. At times it writes
    for long, and at times it does not care whether it has lost the lock.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    remote = Remote(reader, writer)
    lock = DistributedLock("resource", timeout=1.5, wait=5, fair=fair, client=redis)
    try:
        while True:
            await remote.tell("asks", owner, "-")
            try:
                if random() < 0.5:
                    async with lock:
                        await write(remote, owner, lock.fence)
                elif await lock.acquire():
                    await write(remote, owner, lock.fence)
                    await lock.release()
            except SahoolCacheError as error:
                await remote.tell("fails", owner, type(error).__name__)
    finally:
        writer.close()


async def write(remote: Remote, owner: str, fence: int) -> None:
    await remote.tell("granted", owner, fence)
    writes, pause = (3, 0.001) if random() < 0.98 else (30, 0.1)
    for _ in range(writes):
        await remote.tell("writes", owner, fence)
        await asyncio.sleep(pause)


async def main(port: str, owner: str, fair: str, name: str, *sentinels: str) -> None:
    settings = RedisSettings.isolated(sentinels=list(sentinels), master_name=name)
    async with RedisClient(settings) as redis:
        owners = (own(redis, int(port), f"{owner}{n}", fair=fair == "fair") for n in range(2))
        await asyncio.gather(*owners)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
