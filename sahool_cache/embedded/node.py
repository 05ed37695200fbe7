"""
One server or sentinel: its place, its process, its log.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from redis.exceptions import ResponseError

from sahool_cache.address import Address
from sahool_cache.embedded.errors import EmbeddedError
from sahool_cache.embedded.guard import Guard
from sahool_cache.embedded.wire import Command, Reply, ask, ask_now, pairs

__all__ = ["Node", "Role"]

Role = Literal["master", "replica", "sentinel"]


class Node:
    """
    One process of a group. Its address never changes; its pid does when it is restarted.

    Change its state through the group: `group.kill(node)`, `group.pause(node)`, ...
    """

    __slots__ = (
        "_address",
        "_command",
        "_guard",
        "_log",
        "_password",
        "_paused",
        "_process",
        "_tuning",
        "role",
    )

    def __init__(
        self,
        role: Role,
        address: Address,
        *,
        text: str,
        program: Sequence[str],
        guard: Guard,
        password: str | None,
        tuning: Command | None = None,
    ) -> None:
        self.role: Role = role
        """What it was when the group last looked."""
        self._address = address
        self._guard = guard
        self._password = password
        self._tuning = tuning
        self._paused = False
        self._process: subprocess.Popen[bytes] | None = None
        directory = guard.directory / str(address.port)
        directory.mkdir()
        self._log = directory / "log"
        config = directory / "node.conf"
        config.write_text(text)
        self._command = [*program, str(config), *(["--sentinel"] if role == "sentinel" else [])]

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.alive else "dead"
        return f"{self.role} {self._address} ({state}{', paused' if self.paused else ''})"

    @property
    def address(self) -> Address:
        """
        Where it listens.
        """
        return self._address

    @property
    def host(self) -> str:
        """
        The host it listens on.
        """
        return self._address.host

    @property
    def port(self) -> int:
        """
        The port it listens on.
        """
        return self._address.port

    @property
    def pid(self) -> int:
        """
        The id of its latest process, also when that is dead.
        """
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path:
        """
        The file with everything it wrote, over all its restarts; gone when the group is closed.
        """
        return self._log

    @property
    def alive(self) -> bool:
        """
        Whether its process exists, paused or not.
        """
        return self._process is not None and self._process.poll() is None

    @property
    def paused(self) -> bool:
        """
        Whether it was stopped by `pause`.
        """
        return self._paused and self.alive

    @property
    def awake(self) -> bool:
        """
        Whether it can be expected to answer: alive and not paused.
        """
        return self.alive and not self._paused

    def start(self, *options: str) -> None:
        """
        Starts its process, with the configuration file as the last one left it.

        `options` go before the file's settings, and are gone with the next start.
        """
        try:
            with self._log.open("ab") as log:
                self._process = self._guard.spawn(
                    [*self._command, *options], directory=self._log.parent, log=log
                )
        except OSError as error:
            raise EmbeddedError(f"{self._command[0]} cannot be started: {error}") from error
        self._paused = False

    def send_signal(self, number: signal.Signals) -> None:
        """
        Sends its process a signal, if there is one.
        """
        if self._process is not None:
            self._process.send_signal(number)
        if number in {signal.SIGSTOP, signal.SIGCONT}:
            self._paused = number == signal.SIGSTOP

    async def ended(self, timeout: float = 10.0) -> None:
        """
        Returns when its process has ended, or after `timeout`.
        """
        deadline = time.monotonic() + timeout
        # Polled: a child watcher would bind the group to one event loop.
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(0.001)

    async def ask(self, *commands: Command, timeout: float = 1.0) -> list[Reply]:
        """
        One reply per command, error replies among them; raises `OSError` if it does not answer.
        """
        return await ask(self._address, commands, password=self._password, timeout=timeout)

    def ask_now(self, *commands: Command, timeout: float = 0.25) -> list[Reply]:
        """
        The same without awaiting.
        """
        return ask_now(self._address, commands, password=self._password, timeout=timeout)

    async def unready(self) -> str | None:
        """
        Why it does not serve yet, or None if it does, with all that only a command can set.

        Raises `EmbeddedError` with the tail of its log if its process has ended.
        """
        self.check_alive()
        try:
            (reply,) = await self.ask(("INFO",))
            info = pairs(reply)
            # The port may have been taken by a server of another group in the meantime.
            if info.get("process_id") != str(self.pid):
                return f"{self!r} does not own its port, or says {reply!s:.80}"
            (set_up,) = await self.ask(self._tuning or ("PING",))
        except OSError as error:
            return f"{self!r} does not answer: {error!r}"
        if self._tuning and isinstance(set_up, ResponseError):
            raise EmbeddedError(f"{self!r} refuses {self._tuning}: {set_up}")
        return f"{self!r} is loading" if info.get("loading", "0") != "0" else None

    def check_alive(self) -> None:
        """
        Raises `EmbeddedError` with the tail of its log if its process has ended.
        """
        if not self.alive:
            raise EmbeddedError(f"{self!r} has ended; it wrote last:\n{self.tail()}")

    def tail(self, lines: int = 12) -> str:
        """
        The last lines of its log.
        """
        try:
            with self._log.open(errors="replace") as log:
                return "".join(deque(log, lines)).rstrip()
        except FileNotFoundError:
            return ""
