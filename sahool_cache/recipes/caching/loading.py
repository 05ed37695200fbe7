"""
One load of one entry: the right to it, the call of the function, and what is stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from redis.exceptions import RedisError

from sahool_cache.errors import OutcomeUnknownError, UnavailableError
from sahool_cache.recipes.caching.codec import Codec
from sahool_cache.recipes.caching.entry import Entry, pack, unpack
from sahool_cache.recipes.caching.lease import Found, Held, Lease, Leased, Paused, Seen
from sahool_cache.recipes.caching.rules import Rules
from sahool_cache.recipes.caching.tags import KEPT
from sahool_cache.recipes.caching.tally import Tally
from sahool_cache.recipes.shared import Shared, uncancelled

__all__ = ["OUTAGE", "Loaded", "Loading"]

OUTAGE = (UnavailableError, OutcomeUnknownError)
"""What says that Redis cannot be reached; what it refuses is none."""

AFTER_FAILURE = 1.0
"""Seconds in which a load that failed is not tried again while there is a result to be given."""

AFTER_NOTHING = 0.25
"""Seconds in which those who wait for a load that stored nothing do not wait for one another."""

_log = logging.getLogger("sahool_cache.recipes")


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What a load came to: `data` is the result as JSON, or None if it is to be given as it is, the
    `value`. It is good for those who came `until` that moment of the monotonic clock: who came
    later may have come after an invalidation, and so may who has other `tags`. If it is not
    `certain`, one has overtaken the load.
    """

    data: bytes | msgspec.Raw | None
    value: Any
    until: float
    certain: bool
    tags: tuple[str, ...]

    def serves(self, came: float, tags: Sequence[str]) -> bool:
        """
        Whether it is good for who came then, with these tags.
        """
        return came <= self.until and tuple(tags) == self.tags


class Loading:
    """
    Loads one entry once. `spare` means that there is another result to be given if that fails.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Any]],
        lease: Lease,
        *,
        shared: Shared,
        rules: Rules,
        codec: Codec,
        tally: Tally,
        random: Random,
        spare: bool,
    ) -> None:
        self._load = load
        self._lease = lease
        self._shared = shared
        self._rules = rules
        self._codec = codec
        self._tally = tally
        self._random = random
        self._spare = spare

    async def run(self, seen: Seen, *, waits: bool = True, force: bool = False) -> Loaded | None:
        """
        What the load came to, whoever did it; None where somebody else sees to it, and there is a
        result to be given, or nobody waits.

        Raises what the function raises, and `OUTAGE` where the rules say so or it is forced.
        """
        try:
            said = await self._asked(seen, waits=waits, force=force)
        except OUTAGE:
            if force or self._rules.on_outage == "raise":
                raise
            self._tally.outages += 1
            return await self.alone()
        if isinstance(said, Loaded):
            return said
        if isinstance(said, Leased):
            return await self._leased(strict=force)
        if self._spare or not waits:
            return None
        return await self.alone()

    async def alone(self) -> Loaded:
        """
        What the function gives; nothing is stored.
        """
        return await self._called(stored=False)

    async def _asked(
        self, seen: Seen, *, waits: bool, force: bool
    ) -> Loaded | Leased | Held | Paused:
        said = await self._taken(seen, force=force)
        if not (isinstance(said, Held) and waits):
            return said
        async with self._shared.wakeups.ear(self._lease.channel) as ear:
            while isinstance(said := await self._taken(seen, force=force), Held):
                await ear.wait(said.seconds + 0.001)
        return said

    async def _taken(self, seen: Seen, *, force: bool) -> Loaded | Leased | Held | Paused:
        while True:
            asked = time.monotonic()
            said = await self._lease.take(seen, force=force)
            if not isinstance(said, Found):
                return said
            entry = unpack(said.stored)
            if (
                entry is not None
                and time.time() - entry.at < entry.ttl
                and entry.tags == said.versions
                and self._readable(entry)
            ):
                return Loaded(entry.data, None, asked, certain=True, tags=self._lease.tags)
            seen = said.stored

    def _readable(self, entry: Entry) -> bool:
        try:
            self._codec.decode(entry.data)
        except ValueError:  # of another type than it has here
            return False
        return True

    async def _leased(self, *, strict: bool) -> Loaded:
        keeping = self._shared.start(self._lease.keep(), name="lease")
        try:
            return await self._called(stored=True, strict=strict)
        except BaseException as error:
            await uncancelled(self._shared.start(self._gave_up(error), name="give-up"))
            raise
        finally:
            keeping.cancel()

    async def _gave_up(self, error: BaseException) -> None:
        failed = isinstance(error, Exception)
        pause = (AFTER_FAILURE if self._spare else AFTER_NOTHING) if failed else 0.0
        try:
            await self._lease.give_up(pause=pause, always=self._spare)
        except OUTAGE:
            self._tally.outages += 1
        except RedisError as refusal:
            _log.warning("the lease of %s may have to end by itself: %s", self._lease.key, refusal)

    async def _called(self, *, stored: bool, strict: bool = False) -> Loaded:
        """
        Calls the function, and ends the lease, if there is one, with what it gives.
        """
        self._codec.ways()  # an annotation that nobody can read is told before all else
        until = began = time.monotonic()
        self._tally.loads += 1
        try:
            value = await self._load()
        except Exception:
            self._tally.failures += 1
            raise
        took = time.monotonic() - began
        ttl = self._rules.ttl_of(value, self._random)
        data = self._encoded(value) if ttl > 0 else None
        certain = False
        if stored:
            ended = time.monotonic()
            try:
                certain = await self._ended(data, ttl, took)
                until = ended if certain else began
            except OUTAGE:
                if strict:
                    raise
                self._tally.outages += 1
        given = None if data is not None else value
        return Loaded(data, given, until, certain, self._lease.tags)

    def _encoded(self, value: Any) -> bytes | None:
        try:
            data = self._codec.encode(value)
            self._codec.decode(data)
        except Exception as error:  # noqa: BLE001  # of a type of the caller's own
            _log.warning("%s is not stored: %s", self._lease.key, error)
            return None
        return data

    async def _ended(self, data: bytes | None, ttl: float, took: float) -> bool:
        lease = self._lease
        if data is None:
            return await lease.give_up(pause=AFTER_NOTHING, remove=True)
        entry = Entry(
            v=1,
            at=round(time.time(), 6),
            ttl=round(ttl, 3),
            took=round(took, 6),
            data=msgspec.Raw(data),
            tags=lease.versions,
        )
        kept = ttl + self._rules.stale
        if lease.versions:
            kept = min(kept, KEPT)
        return await lease.fill(pack(entry, compress_from=self._rules.compress_from), kept)
