"""
The right to load one entry, which one process has at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from redis.exceptions import RedisError, ResponseError

from sahool_cache.errors import UnavailableError
from sahool_cache.recipes.caching.entry import BEGINNING
from sahool_cache.recipes.scripts import LuaScript
from sahool_cache.view import View

__all__ = ["Found", "Held", "Lease", "Leased", "Paused", "Seen", "beginning"]

LASTS = 5.0
"""Seconds that a lease lasts without being renewed: for so long a load is waited for whose process
has died."""

_LEASE, _FILL, _RENEW = LuaScript("cache_lease"), LuaScript("cache_fill"), LuaScript("cache_renew")

NO_WRITES = ("'maxmemory'", "MISCONF ")
"""Of an error that says that the server has no room, in its memory or on its disk. A script's error
has different words around it in each version."""

Seen = bytes | str | None
"""An entry as it was read, or None."""


@dataclass(frozen=True, slots=True)
class Leased:
    """
    Load, and fill.
    """


@dataclass(frozen=True, slots=True)
class Found:
    """
    There is another entry than the one that was seen; these are the versions of its tags.
    """

    stored: bytes
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """
    Another one loads.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Paused:
    """
    The last one who loaded had nothing to store: waiting for the next would be no use.
    """


class Lease:
    """
    One attempt to load the entry at `key`; each method is one round trip. `view` repeats what may
    be repeated, and has replies in bytes; so does `ends`, by which it is ended.

    Raises `UnavailableError` also where the server takes no writes for want of room.
    """

    def __init__(
        self, view: View, key: str, tags: Sequence[str], *, ends: View | None = None
    ) -> None:
        self._view = view
        self._ends = ends or view
        self._tag_keys = [tag_key(tag) for tag in tags]
        self.tags = tuple(tags)
        self._token = token_hex(16)
        self.key = key
        self.channel = f"{key}:lease"
        self.versions: dict[str, str] = {}

    async def take(self, seen: Seen, *, force: bool = False) -> Leased | Found | Held | Paused:
        """
        Asks for it, having `seen` that entry; `force` takes it from whoever has it.
        """
        said, *rest = await self._run(
            _LEASE,
            [self.key, self.channel, *self._tag_keys],
            [self._token, round(LASTS * 1000), beginning(seen), int(force)],
        )
        if said == b"entry":
            return Found(rest[0], self._versions(rest[1:]))
        if said == b"leased":
            self.versions = self._versions(rest)
            return Leased()
        return Paused() if said == b"paused" else Held(rest[0] / 1000)

    def _versions(self, replies: Sequence[bytes]) -> dict[str, str]:
        return dict(zip(self.tags, map(bytes.decode, replies), strict=True))

    async def fill(self, entry: bytes, seconds: float) -> bool:
        """
        Stores the entry for that long; False if an invalidation has overtaken it.
        """
        return await self._end(entry, max(1, round(seconds * 1000)), always=False, remove=False)

    async def give_up(
        self, *, pause: float = 0.0, always: bool = False, remove: bool = False
    ) -> bool:
        """
        Ends it with nothing to store, and spares others for `pause` seconds to wait for the next:
        if anybody waits, or `always`. `remove` takes away what is stored. False if an invalidation
        has overtaken it.
        """
        return await self._end(b"", round(pause * 1000), always=always, remove=remove)

    async def _end(self, entry: bytes, milliseconds: int, *, always: bool, remove: bool) -> bool:
        said = (self._token, entry, milliseconds, int(always), int(remove))
        keys = [self.key, self.channel, *self._tag_keys]
        args = [*said, *self.versions.values()]
        return bool(await self._run(_FILL, keys, args, view=self._ends))

    async def _run(
        self,
        script: LuaScript,
        keys: Sequence[str],
        args: Sequence[Any],
        *,
        view: View | None = None,
    ) -> Any:
        try:
            return await script(view or self._view, keys, args)
        except ResponseError as error:
            if any(word in str(error) for word in NO_WRITES):
                raise UnavailableError(f"the server takes no writes: {error}") from error
            raise

    async def keep(self) -> None:
        """
        Renews it until it is lost, or this is cancelled.
        """
        held = True
        while held:
            await asyncio.sleep(LASTS / 3)
            try:
                held = await self._run(_RENEW, [self.channel], [self._token, int(LASTS * 1000)])
            except RedisError:  # the next time, maybe
                continue


def beginning(seen: Seen) -> bytes:
    """
    That by which an entry is told from the next.
    """
    if seen is None:
        return b""
    seen = seen[:BEGINNING]
    return (seen if isinstance(seen, bytes) else seen.encode())[:BEGINNING]


def tag_key(tag: str) -> str:
    """
    The key of a tag's version.
    """
    return f"cache_tag:{tag}"
