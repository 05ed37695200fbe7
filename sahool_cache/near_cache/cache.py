"""
The near cache of one client: which server is asked for what, and what is held of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any, Literal

from sahool_cache.address import Address
from sahool_cache.commands import SPECS
from sahool_cache.connection.packing import pack
from sahool_cache.events import NearCacheFlushed
from sahool_cache.near_cache.calls import LONGEST_NAME, keys_of, name_of, probe_of
from sahool_cache.near_cache.source import ELSEWHERE, Source
from sahool_cache.near_cache.store import Entry, Store, fresh
from sahool_cache.policy.deadline import Deadline
from sahool_cache.routing.router import ReadFrom
from sahool_cache.settings import NearCacheSettings, RedisSettings
from sahool_cache.wiring.dialling import Dialler
from sahool_cache.wiring.fleet import Fleet

__all__ = ["NearCache", "NearCacheStats"]

_EMPTYING = frozenset({"FLUSHALL", "FLUSHDB", "SWAPDB"})
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "FCALL"})
_KNOWN = frozenset(name.partition(" ")[0] for name in SPECS)
_BYTES = 4
"""A character of a key's name takes so many at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCacheStats:
    """
    The near cache's figures since the client was opened; `entries` and `bytes` are of now.
    """

    hits: int
    misses: int
    invalidations: int
    flushes: int
    evictions: int
    entries: int
    bytes: int


class NearCache:
    """
    Replies of one client, so of one user and one database, each held as the server has it.

    `master` has `entries` that can be looked up at once: by name, the replies to GET. A reply is
    that of the server that a read would go to, and is dropped when that server says that it has
    changed, when this client changes it, and when the server cannot be heard. Two things a server
    does not say: that another client has called SWAPDB, and, for a moment, that a hash's field has
    ended: it says so when it removes the field.
    """

    def __init__(
        self,
        fleet: Fleet,
        settings: RedisSettings,
        limits: NearCacheSettings,
        dialler: Dialler,
        random: Random,
    ) -> None:
        self.hits = 0
        self.misses = 0
        self.flushes = 0
        self.entries: dict[str | bytes, Entry] = {}
        loop = asyncio.get_running_loop()
        # asyncio's loop adds a call to this clock, and a hit has time for little else.
        plain = type(loop).time is asyncio.BaseEventLoop.time
        self.now: Callable[[], float] = monotonic if plain else loop.time
        self.master: Source | None = None
        self._replicas: tuple[Source, ...] = ()
        self._sources: dict[Address, Source] = {}
        first: Literal["master", "replica"]
        first = "master" if settings.read_from == "master" else "replica"
        self._asked_of = {first}
        self._followed: object = None
        self._invalidations = 0
        self._store = Store(limits.max_bytes)
        self._fleet = fleet
        self._settings = settings
        self._decode = settings.decode_responses
        self._limits = limits
        self._dialler = dialler
        self._random = random
        fleet.on_refresh = self.follow
        fleet.nodes_beside = lambda: [source.node for source in self._sources.values()]

    def follow(self) -> None:
        """
        Takes note of who is master now, and which replicas are fit to be read.
        """
        topology, fenced = self._fleet.topology, self._fleet.watcher.fenced
        master, held = topology.master, (topology.master, topology.order)
        state = (held, fenced, topology.in_rotation, frozenset(self._asked_of))
        if state == self._followed:
            return
        before, self._followed = self._followed, state
        if isinstance(before, tuple) and before[0] != held:
            for source in self._sources.values():
                source.flush("the master or its epoch has changed")
        wanted: dict[Address, Literal["master", "replica"]] = {}
        if "replica" in self._asked_of:
            wanted = dict.fromkeys(topology.in_rotation, "replica")
        if "master" in self._asked_of and master is not None:
            wanted[master] = "master"
        self._keep(wanted)
        at_master = self._sources.get(master) if master is not None else None
        if at_master is not None and fenced:
            at_master.interrupt("the master is about to be replaced")
            at_master = None
        self.master = at_master
        self.entries = at_master.entries if at_master is not None else {}
        self._replicas = tuple(each for each in self._sources.values() if each.role == "replica")

    def _keep(self, wanted: dict[Address, Literal["master", "replica"]]) -> None:
        for address, source in tuple(self._sources.items()):
            if wanted.get(address) != source.role:
                del self._sources[address]
                self._invalidations += source.invalidations
                source.close("no longer read from")
        for address, role in wanted.items():
            if address not in self._sources:
                self._sources[address] = source = self._source(address, role)
                self._fleet.run_beside(source.run, name=f"sahool_cache.near_cache {address}")

    def _source(self, address: Address, role: Literal["master", "replica"]) -> Source:
        dial, _ = self._dialler.server(address)
        return Source(
            address,
            role,
            store=self._store,
            settings=self._settings,
            limits=self._limits,
            dial=dial,
            random=self._random,
            cache=self,
        )

    @property
    def reads(self) -> int:
        """
        How often it was asked for anything.
        """
        return self.hits + self.misses

    def flushed(self, node: Address, why: str, entries: int) -> None:
        """
        Tells the observers of what was forgotten all at once.
        """
        self.flushes += 1
        self._fleet.events.emit(
            NearCacheFlushed(at=self.now(), node=node, why=why, entries=entries)
        )

    def missing(self, right: str) -> None:
        """
        Tells them, once, of a right that the server's ACL withholds.
        """
        self._fleet.right_missing(right)

    async def read(self, args: Sequence[Any], read_from: ReadFrom, deadline: Deadline) -> Any:
        """
        The reply to a read, from here or from the server, then in one round trip; `ELSEWHERE`
        where it has to be asked for in the usual way.
        """
        packed = pack(args)  # first: what cannot be sent has no name, either
        names = keys_of(args)
        if names is None or not self._takes(names):
            return ELSEWHERE
        probe = probe_of(args, names[0], packed)
        source = self._choose(names[0], read_from)
        if source is None:
            self.misses += 1
            return ELSEWHERE
        entry, now = source.entries.get(probe), self.now()
        if entry is not None and now < entry.expires and now < source.shelf.trusted:
            self.hits += 1
            entry.used = True
            return fresh(entry.reply, decode=self._decode)
        self.misses += 1
        future = source.ask(probe, names, packed)
        if future is None:
            return ELSEWHERE
        try:
            reply = await deadline.wait(future, TimeoutError)
        except TimeoutError:
            return ELSEWHERE
        return fresh(reply, decode=self._decode)

    def _takes(self, names: Sequence[str]) -> bool:
        prefixes = self._limits.prefixes
        return all(
            len(name) <= LONGEST_NAME and (not prefixes or name.startswith(prefixes))
            for name in names
        )

    def _choose(self, name: str, read_from: ReadFrom) -> Source | None:
        """
        The server to ask: for each key always the same replica, so that each is held once.
        """
        role: Literal["master", "replica"] = "master" if read_from == "master" else "replica"
        if role not in self._asked_of:
            self._asked_of.add(role)
            self.follow()
        if role == "replica" and self._replicas:
            return self._replicas[hash(name) % len(self._replicas)]
        if read_from == "replica":
            return None
        if role == "replica" and "master" not in self._asked_of:
            self._asked_of.add("master")
            self.follow()
        return self.master

    def wrote(self, commands: Iterable[Sequence[Any]]) -> None:
        """
        Drops what these commands of our own may have changed: their caller must not read
        what was there before, and the server's word may come a moment later.
        """
        sources = tuple(self._sources.values())
        for place, (title, *arguments) in enumerate(commands):
            name = name_of(title).upper()
            if name in _EMPTYING:
                for source in sources:
                    source.flush("the server was emptied")
            elif _unnamed(name, arguments, place):
                for source in sources:
                    source.doubt()
            for argument in arguments:
                if isinstance(argument, int | float) or len(argument) <= _BYTES * LONGEST_NAME:
                    key = name_of(argument)
                    for source in sources:
                        source.drop(key)

    def stats(self) -> NearCacheStats:
        """
        The figures now.
        """
        return NearCacheStats(
            hits=self.hits,
            misses=self.misses,
            invalidations=self._invalidations
            + sum(source.invalidations for source in tuple(self._sources.values())),
            flushes=self.flushes,
            evictions=self._store.evictions,
            entries=len(self._store),
            bytes=self._store.bytes,
        )


def _unnamed(name: str, arguments: Sequence[Any], place: int) -> bool:
    """
    Whether a command may have changed keys that it does not name.
    """
    if name in _SCRIPTS:  # one that names keys names them all: the rule of Redis
        return list(map(name_of, arguments[1:2])) in ([], ["0"])
    if name == "EXEC":  # what it runs was sent before, and has only run now
        return place == 0
    return name not in _KNOWN
