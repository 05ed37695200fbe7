"""
What is kept: replies by key, and a bound on the bytes of all of them together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from sys import getsizeof
from typing import Any

__all__ = ["Entry", "Shelf", "Store", "fresh", "size_of"]

OVERHEAD, LISTED = 300, 270
"""Bytes that an entry costs besides its key and its reply, and those of a name under which it is
listed, besides the name; measured with tracemalloc."""

SHARE = 8
"""One reply may take an eighth of the room."""

CHANCES = 1000
"""How many entries that were used are passed over for one that is given up: nobody waits longer."""


class Entry:
    """
    One reply. `expires` is the loop's clock; `used` since the last look for what to give up.
    """

    __slots__ = ("expires", "names", "probe", "reply", "shelf", "size", "used")

    def __init__(
        self, shelf: Shelf, probe: str | bytes, names: Sequence[str], reply: Any, expires: float
    ) -> None:
        self.shelf = shelf
        self.probe = probe
        self.names = names
        self.reply = reply
        self.expires = expires
        self.used = False
        self.size = OVERHEAD + getsizeof(probe) + size_of(reply)
        if probe.__class__ is bytes:
            self.size += sum(LISTED + getsizeof(name) for name in names)


class Store:
    """
    The room that all shelves share. What was not used since the last look goes first.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.evictions = 0
        self._order: OrderedDict[Entry, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def add(self, entry: Entry) -> bool:
        """
        Makes room for the entry; whether it may stay.
        """
        if entry.size * SHARE > self.max_bytes:
            return False
        chances = CHANCES
        while self.bytes + entry.size > self.max_bytes:
            oldest = next(iter(self._order))
            if oldest.used and chances:  # a second chance, without a move on every hit
                chances -= 1
                oldest.used = False
                self._order.move_to_end(oldest)
            else:
                self.evictions += 1
                oldest.shelf.forget(oldest)
        self._order[entry] = None
        self.bytes += entry.size
        return True

    def remove(self, entry: Entry) -> None:
        """
        Gives its room back.
        """
        del self._order[entry]
        self.bytes -= entry.size


class Shelf:
    """
    The replies of one server, by what is asked: the key's name for GET, else the packed command.

    They may be used while the loop's clock is below `trusted`.
    """

    __slots__ = ("_probes", "_store", "entries", "trusted")

    def __init__(self, store: Store) -> None:
        self.entries: dict[str | bytes, Entry] = {}
        self.trusted = 0.0
        self._store = store
        self._probes: dict[str, set[bytes]] = {}

    def keep(self, probe: str | bytes, names: Sequence[str], reply: Any, expires: float) -> None:
        """
        Puts a reply there, in place of an earlier one.
        """
        earlier = self.entries.get(probe)
        if earlier is not None:
            self.forget(earlier)
        entry = Entry(self, probe, names, reply, expires)
        self.entries[probe] = entry
        if isinstance(probe, bytes):
            for name in names:
                self._probes.setdefault(name, set()).add(probe)
        if not self._store.add(entry):
            self._unlist(entry)

    def drop(self, name: str) -> bool:
        """
        Forgets every reply that depends on that key; whether there was one.
        """
        found = [self.entries.get(name), *map(self.entries.get, self._probes.get(name, ()))]
        for entry in found:
            if entry is not None:
                self.forget(entry)
        return any(found)

    def clear(self) -> int:
        """
        Forgets everything; how much it was.
        """
        everything = list(self.entries.values())
        for entry in everything:
            self.forget(entry)
        return len(everything)

    def forget(self, entry: Entry) -> None:
        """
        Takes one entry away.
        """
        self._store.remove(entry)
        self._unlist(entry)

    def _unlist(self, entry: Entry) -> None:
        del self.entries[entry.probe]
        if isinstance(entry.probe, bytes):
            for name in entry.names:
                probes = self._probes.get(name, set())
                probes.discard(entry.probe)
                if not probes:
                    self._probes.pop(name, None)


def fresh(reply: Any, *, decode: bool) -> Any:
    """
    A copy that its caller may change, decoded like a reply that has just come.

    Raises `UnicodeDecodeError`.
    """
    kind = reply.__class__
    if kind is bytes:
        return reply.decode() if decode else reply
    if kind is list:
        return [fresh(each, decode=decode) for each in reply]
    if kind is dict:
        return {
            fresh(key, decode=decode): fresh(value, decode=decode) for key, value in reply.items()
        }
    if kind is set:
        return {fresh(each, decode=decode) for each in reply}
    return reply


def size_of(reply: Any) -> int:
    """
    The bytes that a reply takes, containers and what is in them.
    """
    size = getsizeof(reply)
    if isinstance(reply, list | set):
        return size + sum(map(size_of, reply))
    if isinstance(reply, dict):
        return size + sum(size_of(key) + size_of(value) for key, value in reply.items())
    return size
