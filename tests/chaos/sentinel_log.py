"""
What the sentinels say and when, heard on sockets of its own in a thread of its own.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import hiredis

from sahool_cache.address import Address

__all__ = ["SentinelEvent", "SentinelLog"]

_REDIAL = 0.05
_PROBE = 0.003
_PROBES_FOR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelEvent:
    """
    One message of one sentinel; `at` is of the monotonic clock.
    """

    at: float
    sentinel: Address
    name: str
    message: str


class _Line:
    """
    One connection: to a sentinel that is listened to, or to a server that is asked for its role.
    """

    def __init__(self, address: Address, greeting: Iterable[tuple[str, ...]]) -> None:
        self.address = address
        self.reader = hiredis.Reader(encoding="utf-8", errors="replace")
        self.socket = socket.socket()
        self.socket.settimeout(0)
        self.socket.connect_ex(address)
        self._unsent = b"".join(hiredis.pack_command(each) for each in greeting)

    def flush(self) -> None:
        if self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            self._unsent = self._unsent[sent:]

    def say(self, *words: str) -> None:
        self._unsent += hiredis.pack_command(words)
        self.flush()

    @property
    def busy(self) -> bool:
        return bool(self._unsent)


class SentinelLog:
    """
    Listens to every sentinel from ``with`` to its end; connects again to one that was restarted.

    After ``+selected-slave`` it asks the candidate for its role every 3 ms, and notes when it first
    answered ``master``: before that, no client can write.
    """

    def __init__(
        self, sentinels: Iterable[Address], *, password: str | None, sentinel_password: str | None
    ) -> None:
        self.events: list[SentinelEvent] = []
        self.promoted: dict[Address, float] = {}
        """Server -> when it first answered that it is master, after it was selected."""
        self._login = [("AUTH", password)] if password else []
        self._greeting = [("AUTH", sentinel_password)] if sentinel_password else []
        self._lines: dict[Address, _Line | None] = dict.fromkeys(sentinels)
        self._redial: dict[Address, float] = {}
        self._candidates: dict[Address, float] = {}
        self._probes: dict[Address, _Line] = {}
        self._selector = selectors.DefaultSelector()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(5)

    @property
    def sockets(self) -> frozenset[int]:
        """
        The descriptors it holds, which are no leak of the client's.
        """
        # Its own descriptor is the selector's; the keys change under us, hence the copy.
        return frozenset(list(self._selector.get_map() or ()))

    @property
    def listening(self) -> bool:
        """
        Whether every sentinel has confirmed the subscription at least once.
        """
        return {each.sentinel for each in self.events if each.name == "subscribed"} >= set(
            self._lines
        )

    def first(self, name: str, after: float = 0.0) -> SentinelEvent | None:
        """
        The earliest event of this name, of any sentinel.
        """
        found = (each for each in list(self.events) if each.name == name and each.at >= after)
        return min(found, key=lambda each: each.at, default=None)

    def elections(self, after: float = 0.0) -> int:
        """
        How many epochs the sentinels have begun: more than one means that a vote was lost.
        """
        return len(
            {e.message for e in list(self.events) if e.name == "+new-epoch" and e.at >= after}
        )

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._dial()
                self._probe()
                for key, _ in self._selector.select(_PROBE if self._candidates else 0.02):
                    self._take(key.data)
        finally:
            for key in list(self._selector.get_map().values()):
                self._selector.unregister(key.fileobj)
                key.data.socket.close()
            self._selector.close()

    def _dial(self) -> None:
        now = time.monotonic()
        for address, line in self._lines.items():
            if line is None and now >= self._redial.get(address, 0.0):
                self._redial[address] = now + _REDIAL
                self._lines[address] = self._connect(
                    address, [*self._greeting, ("PSUBSCRIBE", "*")]
                )
            elif line is not None and line.busy:
                self._guarded(line, line.flush)

    def _connect(self, address: Address, greeting: Iterable[tuple[str, ...]]) -> _Line | None:
        try:
            line = _Line(address, greeting)
        except OSError:
            return None
        self._selector.register(line.socket, selectors.EVENT_READ, line)
        return line

    def _take(self, line: _Line) -> None:
        at = time.monotonic()

        def receive() -> None:
            data = line.socket.recv(65536)
            if not data:
                raise ConnectionResetError
            line.reader.feed(data)
            while (message := line.reader.gets()) is not False:
                self._heard(line, message, at)

        self._guarded(line, receive)

    def _heard(self, line: _Line, message: Any, at: float) -> None:
        match message:
            case ["pmessage", _, str(name), str(text)]:
                self.events.append(
                    SentinelEvent(at=at, sentinel=line.address, name=name, message=text)
                )
                if name == "+selected-slave":
                    self._watch(text, at)
            case ["psubscribe", *_]:
                self.events.append(
                    SentinelEvent(at=at, sentinel=line.address, name="subscribed", message="")
                )
            case ["master", *_] if line.address not in self.promoted:
                self.promoted[line.address] = at

    def _watch(self, text: str, at: float) -> None:
        # "slave <name> <ip> <port> @ <master name> <ip> <port>"
        _, _, host, port, *_ = text.split()
        self._candidates.setdefault(Address(host, int(port)), at + _PROBES_FOR)

    def _probe(self) -> None:
        now = time.monotonic()
        for address, until in list(self._candidates.items()):
            line = self._probes.get(address)
            if address in self.promoted or now > until:
                del self._candidates[address]
                if line is not None:
                    self._drop(line)
            elif line is None:
                # Again and again: a promotion closes the connections of all clients.
                if (line := self._connect(address, [*self._login, ("ROLE",)])) is not None:
                    self._probes[address] = line
            elif line.busy:
                self._guarded(line, line.flush)
            else:
                self._guarded(line, partial(line.say, "ROLE"))

    def _guarded(self, line: _Line, act: Callable[[], None]) -> None:
        try:
            act()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(line)

    def _drop(self, line: _Line) -> None:
        self._selector.unregister(line.socket)
        line.socket.close()
        if self._probes.get(line.address) is line:
            del self._probes[line.address]
        elif line.address in self._lines:
            self._lines[line.address] = None
