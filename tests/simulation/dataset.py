"""
The data of a simulated server: what it is, and the writes that it consists of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.simulation.resp import Simple

__all__ = ["WRITES", "Dataset", "Write"]

WRITES = frozenset({b"SET", b"INCRBY", b"SADD", b"DEL"})

Write = tuple[bytes, ...]
"""One command that changed data."""


class Dataset:
    """
    Keys and values, and the `history` of writes that made them.
    """

    def __init__(self, history: Iterable[Write] = ()) -> None:
        self.values: dict[bytes, Any] = {}
        self.history: list[Write] = []
        for write in history:
            self.apply(write)

    def apply(self, write: Write) -> Any:
        """
        Executes a write; the reply.
        """
        self.history.append(write)
        values = self.values
        match write:
            case b"SET", key, value, *_:
                values[key] = value
                return Simple("OK")
            case b"INCRBY", key, by:
                values[key] = b"%d" % (int(values.get(key, 0)) + int(by))
                return int(values[key])
            case b"SADD", key, member:
                members = values.setdefault(key, set())
                before = len(members)
                members.add(member)
                return len(members) - before
            case b"DEL", key:
                return int(values.pop(key, None) is not None)
        raise AssertionError(write)
