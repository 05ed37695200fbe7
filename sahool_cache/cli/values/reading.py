"""
What a key holds, of whatever type, and not more of it than asked for.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from sahool_cache.cli.escapes import as_data, escaped
from sahool_cache.cli.units import span

__all__ = ["STRING_BYTES", "Held", "read_key"]

Source = Any
"""A `View`: redis-py's types of replies do not know that these are bytes."""

STRING_BYTES = 1024 * 1024
"""What is shown of a string, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    A key's type, ``none`` where there is no key; its `ttl` in seconds, None without one; its
    `length` in elements, or bytes; and the first of them, for JSON and in lines.
    """

    kind: str
    ttl: float | None = None
    length: int | None = None
    value: Any = None
    lines: tuple[str, ...] = ()
    whole: bool = True

    @property
    def summary(self) -> str:
        """
        What it is, in one line.
        """
        if self.kind == "none":
            return "no such key"
        unit = "byte" if self.kind == "string" else "element"
        parts = [self.kind]
        if self.length is not None:
            parts.append(f"{self.length:,} {unit}{'' if self.length == 1 else 's'}")
        parts.append("does not expire" if self.ttl is None else f"expires in {span(self.ttl)}")
        if not self.whole and self.length is not None:
            parts.append("only the first are shown")
        return ", ".join(parts)


async def read_key(view: Source, key: bytes, limit: int) -> Held:
    """
    What `key` holds; `limit` elements at most, and `STRING_BYTES` of a string.
    """
    pipe = view.pipeline(transaction=False)
    pipe.type(key)
    pipe.pttl(key)
    kind, left = await pipe.execute()
    name = kind.decode()
    if name == "none":
        return Held(kind=name, lines=("(nil)",))
    ttl = left / 1000 if left >= 0 else None
    read = _READERS.get(name)
    if read is None:
        return Held(kind=name, ttl=ttl, lines=("(of a type that is not shown here)",), whole=False)
    length, value, lines = await read(view, key, limit)
    most = STRING_BYTES if name == "string" else limit
    return Held(
        kind=name, ttl=ttl, length=length, value=value, lines=tuple(lines), whole=length <= most
    )


Reading = tuple[int, Any, list[str]]


async def _string(view: Source, key: bytes, _limit: int) -> Reading:
    length = await view.strlen(key)
    raw = await view.getrange(key, 0, STRING_BYTES - 1)
    return length, as_data(raw), [escaped(raw)]


async def _list(view: Source, key: bytes, limit: int) -> Reading:
    found = await view.lrange(key, 0, limit - 1)
    return await view.llen(key), list(map(as_data, found)), list(map(escaped, found))


async def _set(view: Source, key: bytes, limit: int) -> Reading:
    found = await _first(view.sscan_iter(key, count=limit), limit)
    return await view.scard(key), list(map(as_data, found)), list(map(escaped, found))


async def _hash(view: Source, key: bytes, limit: int) -> Reading:
    found = await _first(view.hscan_iter(key, count=limit), limit)
    return await view.hlen(key), _fields(found), [_equation(*pair) for pair in found]


async def _sorted_set(view: Source, key: bytes, limit: int) -> Reading:
    found = await view.zrange(key, 0, limit - 1, withscores=True)
    value = [{"member": as_data(member), "score": _score(score)} for member, score in found]
    lines = [f"{score:.17g} {escaped(member)}" for member, score in found]
    return await view.zcard(key), value, lines


async def _stream(view: Source, key: bytes, limit: int) -> Reading:
    found = await view.xrange(key, count=limit)
    value = [{"id": at.decode(), "fields": _fields(entry.items())} for at, entry in found]
    lines = [
        " ".join([at.decode(), *(_equation(*pair) for pair in entry.items())])
        for at, entry in found
    ]
    return await view.xlen(key), value, lines


_READERS: Mapping[str, Callable[[Source, bytes, int], Awaitable[Reading]]] = {
    "string": _string,
    "list": _list,
    "set": _set,
    "hash": _hash,
    "zset": _sorted_set,
    "stream": _stream,
}


async def _first(elements: Any, limit: int) -> list[Any]:
    found: dict[Any, None] = {}  # a scan may show an element twice
    async with aclosing(elements):
        async for element in elements:
            found[element] = None
            if len(found) == limit:
                break
    return list(found)


def _fields(found: Any) -> list[dict[str, Any]]:
    return [{"field": as_data(field), "value": as_data(value)} for field, value in found]


def _equation(field: bytes, value: bytes) -> str:
    return f"{escaped(field)}={escaped(value)}"


def _score(score: float) -> float | str:
    return score if math.isfinite(score) else str(score)  # JSON has no infinity
