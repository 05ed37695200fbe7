"""
A server of our own that reads a backup: out of reach for others, and gone when we are.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import exceptions as redis_errors
from redis.asyncio import Redis

from sahool_cache.embedded.binary import find_server
from sahool_cache.embedded.errors import ServerNotFoundError
from sahool_cache.embedded.guard import Guard

__all__ = ["DATABASES", "Loaded", "NotLoaded", "Scratch", "find_programs"]

DATABASES = 1024
"""More than anybody has: the last of them is for our own comparisons."""

_BACKUP, _SOCKET, _LOG = "backup.rdb", "socket", "log"
_LONGEST_SOCKET = 103  # bytes: macOS's limit, Linux has four more
_LOOK_EVERY = 0.05
_ANSWER_WITHIN = 60.0
_GOODBYES = ("exiting now...", "Exiting.")
_OPTIONS = {
    "port": "0",
    "unixsocket": _SOCKET,
    "unixsocketperm": "700",
    "dbfilename": _BACKUP,
    "dir": ".",
    "save": "",
    "appendonly": "no",
    "databases": str(DATABASES),
    # Looks into every value: a checksum does not tell what a faulty server wrote.
    "sanitize-dump-payload": "yes",
    "enable-debug-command": "local",
}
# A replica drops no key whose time to live has ended: what it has loaded can be counted.
_AS_REPLICA = ("--replicaof", "127.0.0.1", "0")


class NotLoaded(Exception):
    """
    The server could not read the backup; the text is what it wrote last.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """
    What the server made of the backup: keys by database, those whose time to live has ended among
    them, and libraries of functions.
    """

    server: str
    databases: dict[int, int]
    functions: int

    @property
    def keys(self) -> int:
        """
        Keys in all databases.
        """
        return sum(self.databases.values())

    @property
    def numbers(self) -> list[int]:
        """
        The databases that hold something; the first if there is none.
        """
        return sorted(self.databases) or [0]


def find_programs(chosen: str | None, kind: str) -> list[str]:
    """
    The servers on this machine that may read a backup, those of that kind (``redis`` or
    ``valkey``) first; the `chosen` one alone. Raises `ServerNotFoundError`.
    """
    if chosen is not None:
        return [find_server(chosen)]
    names = ("redis-server", "valkey-server")
    found = [path for path in map(shutil.which, names) if path]
    with suppress(ServerNotFoundError):
        found.append(find_server())
    if not found:
        find_server()  # says how to get one
    return sorted(dict.fromkeys(found), key=lambda path: kind not in Path(path).name)


class Scratch:
    """
    The process and its directory; ``with`` ends both.
    """

    def __init__(self, program: str, backup: Path) -> None:
        self.program = program
        self._backup = backup

    def __enter__(self) -> Self:
        self._guard = Guard()
        directory = self._guard.directory
        if len(os.fsencode(directory / _SOCKET)) > _LONGEST_SOCKET:
            self._guard.close()
            raise NotLoaded(f"{directory.parent} is too long a path for a socket: set TMPDIR")
        try:
            (directory / _BACKUP).symlink_to(self._backup.resolve())
            with (directory / _LOG).open("ab") as log:
                pairs = ((f"--{name}", value) for name, value in _OPTIONS.items())
                command = [self.program, *chain.from_iterable(pairs), *_AS_REPLICA]
                self._process = self._guard.spawn(command, directory=directory, log=log)
        except OSError as error:
            self._guard.close()
            raise NotLoaded(f"{self.program} cannot be started: {error}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._guard.close()

    def connect(self, database: int = 0) -> Redis:
        """
        A client of it, whose replies are bytes.
        """
        return Redis(
            unix_socket_path=str(self._guard.directory / _SOCKET),
            db=database,
            socket_timeout=_ANSWER_WITHIN,
        )

    async def loaded(self, on_progress: Callable[[int, int | None], object]) -> Loaded:
        """
        What is in it, when all is loaded; raises `NotLoaded`. From then on keys expire.
        """
        async with self.connect() as redis:
            while True:
                if self._process.poll() is not None:
                    raise NotLoaded(self._last_words())
                with suppress(redis_errors.ConnectionError, redis_errors.TimeoutError):
                    info = await redis.info("everything")
                    if info["loading"] == 0:
                        loaded = await _contents(redis, info)
                        await redis.execute_command("REPLICAOF", "NO", "ONE")
                        return loaded
                    on_progress(info["loading_loaded_bytes"], info["loading_total_bytes"] or None)
                await asyncio.sleep(_LOOK_EVERY)

    def _last_words(self) -> str:
        text = (self._guard.directory / _LOG).read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        warnings = [line.partition(" # ")[2] for line in lines]
        causes = [each for each in warnings if each and not each.endswith(_GOODBYES)]
        return (causes or lines or ["it ended without a word"])[-1]


async def _contents(redis: Redis, info: dict[str, Any]) -> Loaded:
    functions: Any = await redis.execute_command("FUNCTION", "LIST")
    valkey = info.get("valkey_version")
    return Loaded(
        server=f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        databases={
            int(name[2:]): counts["keys"]
            for name, counts in info.items()
            if name.startswith("db") and isinstance(counts, dict)
        },
        functions=len(functions),
    )
