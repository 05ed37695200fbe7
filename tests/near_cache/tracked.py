"""
A model of a server that tracks what its clients read, and the network to it, on virtual time.

It remembers every value that a key has had and when, so that it can be said of a reply how old
it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import cast

import hiredis

from sahool_cache.address import Address
from tests.simulation.resp import Failure, Simple, encode, push, read_commands

__all__ = ["Change", "Link", "Server", "jitter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    What a key became, when, and when its time was to end. `number` counts all changes.
    """

    at: float
    number: int
    value: str | None
    ends: float = float("inf")


class Server:
    """
    One server. `delay()` gives the seconds that bytes take, `wires` are its connections.
    """

    def __init__(self, delay: Callable[[], float] = lambda: 0.0005) -> None:
        self.loop = asyncio.get_running_loop()
        self.delay = delay
        self.role = "master"
        self.changes: dict[bytes, list[Change]] = {}
        self.links: list[Link] = []
        self.count = 0
        self.asked: list[list[bytes]] = []
        self.refused: dict[bytes, str] = {}
        self.delivered: dict[bytes, int] = {}

    async def dial(self, _address: Address) -> Link:
        await asyncio.sleep(self.delay())
        link = Link(self)
        self.links.append(link)
        return link

    def change(self, key: bytes, value: str | None, lives: float = float("inf")) -> Change:
        """
        Writes a key, and tells those who have read it.
        """
        self.count += 1
        now = self.loop.time()
        change = Change(at=now, number=self.count, value=value, ends=now + lives)
        self.changes.setdefault(key, []).append(change)
        for link in self.links:
            link.tell(key, change)
        return change

    def expire(self) -> None:
        """
        Removes what has lapsed, as a server does now and then.
        """
        for key in list(self.changes):
            last = self.changes[key][-1]
            if last.value is not None and last.ends <= self.loop.time():
                self.change(key, None)

    def flush(self) -> None:
        """
        Empties the server.
        """
        for key in list(self.changes):
            self.count += 1
            gone = Change(at=self.loop.time(), number=self.count, value=None)
            self.changes[key].append(gone)
        for link in self.links:
            link.tell_all()

    def value(self, key: bytes) -> str | None:
        """
        What the key holds now.
        """
        changes = self.changes.get(key)
        return changes[-1].value if changes and changes[-1].ends > self.loop.time() else None

    def replaced(self) -> Server:
        """
        The server that takes over: it has the data, and goes on with the record; this one keeps
        what it has.
        """
        new = Server(self.delay)
        new.changes, new.count, new.delivered = self.changes, self.count, self.delivered
        self.changes = {key: list(changes) for key, changes in self.changes.items()}
        self.delivered = dict(self.delivered)
        return new

    def seen(self, key: bytes, start: float, end: float) -> Iterator[tuple[str | None, int]]:
        """
        What the key was at some moment between the two, each with the change that made it so.
        """
        changes = self.changes.get(key, [])
        if not changes or start < changes[0].at:
            yield None, 0
        for place, change in enumerate(changes):
            later = changes[place + 1].at if place + 1 < len(changes) else float("inf")
            lapsed = min(change.ends, later)
            if change.at <= end and start <= lapsed:
                yield change.value, change.number
            if lapsed < later and lapsed <= end and start <= later:
                yield None, change.number

    def answer(self, link: Link, command: list[bytes]) -> bytes:
        self.asked.append(command)
        name, *arguments = command
        if name in self.refused:
            return encode(Failure(self.refused[name]))
        if name == b"PING":
            return encode(Simple("PONG"))
        if name == b"CLIENT":
            link.tracks = True
            return encode(Simple("OK"))
        key = arguments[0]
        if link.tracks:
            link.reads.add(key)
        changes = self.changes.get(key)
        if name == b"PTTL":
            if self.value(key) is None or not changes:
                return encode(-2)
            left = changes[-1].ends - self.loop.time()
            return encode(-1 if left == float("inf") else int(left * 1000))
        if name == b"GET":
            return encode(self.value(key))
        if name == b"MGET":
            link.reads.update(arguments if link.tracks else ())
            return encode([self.value(each) for each in arguments])
        return encode(Failure(f"ERR unknown command {name.decode()}"))


class Link:
    """
    One connection: bytes arrive in order, each some time after they were written.
    """

    def __init__(self, server: Server) -> None:
        self.role: str | None = server.role
        self.client_id: int | None = 1
        self.tracks = False
        self.silent = False
        self.over = False
        self.reads: set[bytes] = set()
        self._server = server
        self._reader = hiredis.Reader()
        self._there = self._here = 0.0
        self._up: deque[bytes] = deque()
        self._down: deque[tuple[bytes, Callable[[], None]]] = deque()

    def attach(
        self, received: Callable[[bytes], None], lost: Callable[[BaseException | None], None]
    ) -> asyncio.WriteTransport:
        self._received, self._lost = received, lost
        return cast("asyncio.WriteTransport", self)

    def get_write_buffer_size(self) -> int:
        return 0

    def cut(self) -> None:
        self.over = True
        if self in self._server.links:
            self._server.links.remove(self)

    def lose(self) -> None:
        """
        The connection breaks; the client is told.
        """
        if not self.over:
            self.cut()
            self._lost(None)

    def write(self, data: bytes) -> None:
        loop = self._server.loop
        self._there = max(self._there, loop.time() + self._server.delay())
        self._up.append(data)
        loop.call_at(self._there, self._arrive)

    def _arrive(self) -> None:
        data = self._up.popleft()  # the loop may swap timers of the same moment
        if not (self.over or self.silent):
            replies = [
                self._server.answer(self, command) for command in read_commands(self._reader, data)
            ]
            self._send(b"".join(replies), lambda: None)

    def tell(self, key: bytes, change: Change) -> None:
        """
        Says that the key has changed, if it was read on this connection since it last did.
        """
        if self.tracks and key in self.reads:
            self.reads.discard(key)
            self._send(push([b"invalidate", [key]]), lambda: self._heard({key: change.number}))

    def tell_all(self) -> None:
        """
        Says that all keys have changed.
        """
        if self.tracks:
            self.reads.clear()
            numbers = {key: each[-1].number for key, each in self._server.changes.items()}
            self._send(push([b"invalidate", None]), lambda: self._heard(numbers))

    def _heard(self, numbers: dict[bytes, int]) -> None:
        delivered = self._server.delivered
        for key, number in numbers.items():
            delivered[key] = max(delivered.get(key, 0), number)

    def _send(self, data: bytes, arrived: Callable[[], None]) -> None:
        loop = self._server.loop
        self._here = max(self._here, loop.time() + self._server.delay())
        self._down.append((data, arrived))
        loop.call_at(self._here, self._deliver)

    def _deliver(self) -> None:
        data, arrived = self._down.popleft()
        if not (self.over or self.silent):
            self._received(data)
            arrived()


def jitter(random: Random, usual: float, rarely: float) -> Callable[[], float]:
    """
    Delays that are mostly short.
    """
    return lambda: random.random() * (rarely if random.random() < 0.03 else usual)
