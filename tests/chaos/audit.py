"""
What the servers hold, asked of them directly and not through the client under test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sahool_cache.embedded import Node
from tests.chaos.arena import Group
from tests.chaos.history import WRITES, History, Operation
from tests.chaos.load import IDS, is_register

__all__ = ["Survey", "survey", "writes_that_reached"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """
    The data of one server: the members of the set of ids, and the values of the other keys.
    """

    ids: frozenset[str]
    values: dict[str, str]

    def has(self, write: Operation) -> bool:
        """
        Whether this write is there. Of a register only the last value can be: ask `register`.
        """
        if write.kind == "sadd":
            return write.value in self.ids
        return write.key in self.values

    def runs(self, key: str) -> int:
        """
        How often the INCR of this key of its own has run.
        """
        return int(self.values.get(key, "0"))


async def survey(group: Group, node: Node, history: Iterable[Operation]) -> Survey:
    """
    What this server holds of everything that the history wrote.
    """
    keys = dict.fromkeys(each.key for each in history if each.kind in {"set", "incr"})
    return await _look(group, node, list(keys))


async def _look(group: Group, node: Node, keys: Sequence[str]) -> Survey:
    ids: Any = await group.command(node, "SMEMBERS", IDS)
    values: dict[str, str] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        found: Any = await group.command(node, "MGET", *some)
        values |= {key: value for key, value in zip(some, found, strict=True) if value is not None}
    return Survey(ids=frozenset(ids), values=values)


async def writes_that_reached(
    group: Group, node: Node, history: History, after: float
) -> int | None:
    """
    How many writes that began after this moment the ex-master holds; None if nobody can tell.

    That is so once it has become a replica: then it holds what the new master sent it.
    """
    if not node.awake:
        return None
    late = [
        each
        for each in history
        if each.kind in WRITES and each.began > after and not is_register(each.key)
    ]
    try:
        found = await survey(group, node, late)
        role: Any = await group.command(node, "ROLE")
    except OSError:
        return None
    return sum(1 for each in late if found.has(each)) if role[0] == "master" else None
