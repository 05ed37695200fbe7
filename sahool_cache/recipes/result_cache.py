"""
`ResultCache`: results that are loaded once and kept in Redis; what `cache_result` is built on.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from random import Random
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from redis.exceptions import ResponseError

from sahool_cache.client import RedisClient
from sahool_cache.recipes.caching.codec import Codec
from sahool_cache.recipes.caching.entry import EARLIEST, Entry, unpack
from sahool_cache.recipes.caching.flights import Flights
from sahool_cache.recipes.caching.lease import Lease, Seen, tag_key
from sahool_cache.recipes.caching.loading import OUTAGE, Loaded, Loading
from sahool_cache.recipes.caching.rules import CacheOptions, Rules, Ttl
from sahool_cache.recipes.caching.tags import distinct
from sahool_cache.recipes.caching.tally import CacheInfo, Tally
from sahool_cache.recipes.scripts import LuaScript
from sahool_cache.recipes.shared import GivenClient, Shared, client_of
from sahool_cache.routing.router import ReadFrom
from sahool_cache.view import View

__all__ = ["CacheInfo", "ResultCache"]

_INVALIDATE = LuaScript("cache_invalidate")
_log = logging.getLogger("sahool_cache.recipes")

T = TypeVar("T")


class ResultCache(Generic[T]):
    """
    Keeps results of type `returns` for `ttl` seconds, or for what `ttl(result)` says. They are
    stored as JSON, and given as that type: see `Codec` for which there are. For the options see
    `CacheOptions`; wrong ones raise `ValueError` or `TypeError`.
    """

    @overload
    def __init__(
        self,
        returns: type[T],
        ttl: Ttl = 3600,
        *,
        client: GivenClient = None,
        **options: Unpack[CacheOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: ResultCache[Any],
        returns: Any = Any,
        ttl: Ttl = 3600,
        *,
        client: GivenClient = None,
        **options: Unpack[CacheOptions],
    ) -> None: ...
    def __init__(
        self,
        returns: Any = Any,
        ttl: Ttl = 3600,
        *,
        client: GivenClient = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._given = client
        self._rules = Rules.of(ttl, options)
        self._reads_otherwise = self._rules.use_slave or self._rules.timeout is not None
        self._codec = Codec(returns)
        self._tally = Tally()
        self._random = Random()
        self._views: tuple[RedisClient, View, View] | None = None

    async def get_or_load(
        self, key: str, load: Callable[[], Awaitable[T]], *, tags: Sequence[str] = ()
    ) -> T:
        """
        The result that is stored at `key`, or else what `load()` gives, which is stored with these
        `tags` (see `invalidate_tags`).

        One round trip for a hit, three for a miss. Of all callers of this and other processes who
        miss at once, one loads. Raises what `load` raises; `TimeoutError` after the `hard_timeout`;
        where ``on_outage="raise"``, `UnavailableError` and `OutcomeUnknownError`.
        """
        came = time.monotonic()
        client = client_of(self._given)
        tags = distinct(tags) if tags else ()
        try:
            stored, versions = await self._look(client, key, tags)
        except OUTAGE:
            if self._rules.on_outage == "raise":
                raise
            self._tally.outages += 1
            self._tally.misses += 1
            return await self._load(client, key, load, tags, None, None, came, reachable=False)
        spare, entry = None, None if stored is None else unpack(stored)
        if entry is not None and entry.tags == versions:
            rules, age = self._rules, max(0.0, time.time() - entry.at)
            try:
                result = self._codec.decode(entry.data)
            except ValueError:  # of another type than it has now
                pass
            else:
                if age < entry.ttl:
                    self._tally.hits += 1
                    if age > entry.ttl * EARLIEST and entry.is_early(
                        age, rules.early_refresh, self._random
                    ):
                        self._load_behind(client, key, load, tags, stored)
                    return cast("T", result)
                if age < entry.ttl + rules.stale_while_revalidate:
                    self._tally.stale += 1
                    self._load_behind(client, key, load, tags, stored)
                    return cast("T", result)
                if age < entry.ttl + rules.stale_if_error:
                    spare = entry
        self._tally.misses += 1
        return await self._load(client, key, load, tags, stored, spare, came)

    async def invalidate(self, key: str) -> bool:
        """
        Removes the result, and keeps whoever is loading it now from storing it; whether there was
        one. One round trip.

        Raises `UnavailableError` or `OutcomeUnknownError` when Redis is down, whatever `on_outage`
        says: it may still be read then.
        """
        client = client_of(self._given)
        view = client.companion(Shared).repeating
        removed = await _INVALIDATE(view, [key, f"{key}:lease"], [])
        client.companion(Flights).part(key)  # who comes now need not wait for what is too old
        return bool(removed)

    async def refresh(
        self, key: str, load: Callable[[], Awaitable[T]], *, tags: Sequence[str] = ()
    ) -> T:
        """
        Loads the result now, whatever is stored, stores it, and gives it. Two round trips. It is
        as durable as the client's writes are.

        Raises what `load` raises, and `UnavailableError`, `OutcomeUnknownError` or
        `NotDurableError` when it may not be stored, whatever `on_outage` says.
        """
        client = client_of(self._given)
        view = self._views_of(client)[1].with_options(durability=client.options.durability)
        loading = self._loading(client, key, load, distinct(tags), ends=view)
        flight = client.companion(Flights).start(key, loading.run(None, force=True))
        if not await flight.wait(self._rules.hard_timeout):
            raise TimeoutError(f"loading {key} took too long; it goes on in the background")
        loaded: Loaded = flight.task.result()
        if not loaded.certain:  # what is stored may be older, or somebody stores something newer
            await view.delete(key)
        return self._value(loaded)

    def cache_info(self) -> CacheInfo:
        """
        What this cache has done in this process; no I/O.
        """
        return CacheInfo(**asdict(self._tally))

    async def _look(
        self, client: RedisClient, key: str, tags: Sequence[str]
    ) -> tuple[Seen, dict[str, str]]:
        """
        What is stored, and the versions of the tags.
        """
        view: View = client
        if self._reads_otherwise or client.options.read_from != "master":
            view = self._views_of(client)[0]
        try:
            if not tags:
                return await view.get(key), {}
            stored, *versions = await view.mget([key, *map(tag_key, tags)])
        except (UnicodeDecodeError, ResponseError) as error:
            if isinstance(error, ResponseError) and not str(error).startswith("WRONGTYPE"):
                raise
            return None, {}  # bytes or a type that no entry has
        return stored, dict(zip(tags, map(_text, versions), strict=True))

    def _views_of(self, client: RedisClient) -> tuple[View, View]:
        """
        For reading, and for what may be repeated and comes as bytes; kept, as making one takes
        longer than using it.
        """
        views = self._views  # a thread with a client of its own may replace them
        if views is None or views[0] is not client:
            options: dict[str, Any] = {}
            if self._rules.timeout is not None:
                options["timeout"] = self._rules.timeout
            reads: ReadFrom = "replica_preferred" if self._rules.use_slave else "master"
            views = self._views = (
                client,
                client.with_options(read_from=reads, **options),
                client.with_options(
                    retry="always", decode_responses=False, durability=0, **options
                ),
            )
        return views[1:]

    def _loading(
        self,
        client: RedisClient,
        key: str,
        load: Callable[[], Awaitable[Any]],
        tags: Sequence[str],
        *,
        spare: bool = False,
        ends: View | None = None,
    ) -> Loading:
        return Loading(
            load,
            Lease(self._views_of(client)[1], key, tags, ends=ends),
            shared=client.companion(Shared),
            rules=self._rules,
            codec=self._codec,
            tally=self._tally,
            random=self._random,
            spare=spare,
        )

    def _load_behind(
        self,
        client: RedisClient,
        key: str,
        load: Callable[[], Awaitable[Any]],
        tags: Sequence[str],
        seen: Seen,
    ) -> None:
        flights = client.companion(Flights)
        if flights.get(key) is None:
            loading = self._loading(client, key, load, tags, spare=True)
            flight = flights.start(key, loading.run(seen, waits=False), kept=True)
            flight.task.add_done_callback(_told)

    async def _load(
        self,
        client: RedisClient,
        key: str,
        load: Callable[[], Awaitable[T]],
        tags: Sequence[str],
        seen: Seen,
        spare: Entry | None,
        came: float,
        *,
        reachable: bool = True,
    ) -> T:
        flights, rules = client.companion(Flights), self._rules
        within = rules.hard_timeout
        if spare is not None and rules.soft_timeout is not None:
            within = min(rules.soft_timeout, within or math.inf)
        while True:
            flight = flights.get(key)
            if flight is not None and flight.encloses:
                loading = self._loading(client, key, load, tags)
                return self._value(await loading.alone())
            if flight is None:
                loading = self._loading(client, key, load, tags, spare=spare is not None)
                work = loading.run(seen) if reachable else loading.alone()
                flight = flights.start(key, work)
            if not await flight.wait(within):
                if spare is None:
                    raise TimeoutError(f"loading {key} took too long; it goes on in the background")
                loaded = None
            else:
                try:
                    loaded = flight.task.result()
                except Exception as error:
                    if spare is None:
                        raise
                    _log.warning("%s is not loaded anew, and given as it was: %r", key, error)
                    loaded = None
            if loaded is not None and (not reachable or loaded.serves(came, tags)):
                try:
                    return self._value(loaded)
                except ValueError:  # it was a load of another type
                    continue
            if loaded is None and spare is not None:
                self._tally.stale += 1
                return cast("T", self._codec.decode(spare.data))

    def _value(self, loaded: Loaded) -> T:
        if loaded.data is None:
            return cast("T", loaded.value)
        return cast("T", self._codec.decode(loaded.data))


def _text(version: bytes | str | None) -> str:
    return version.decode() if isinstance(version, bytes) else version or ""


def _told(task: Any) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.warning("a result is not refreshed in the background: %r", task.exception())
