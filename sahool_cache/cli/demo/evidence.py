"""
What the master really holds at the end, read past both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sahool_cache.cli.demo.contenders import incr_key, members_key, set_key
from sahool_cache.cli.demo.ledger import Call, Kind
from sahool_cache.embedded import EmbeddedSentinel, Node

__all__ = ["Evidence", "collect"]

_CHUNK = 500
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    The writes that the master holds, by kind and number, and the counters above 1.
    """

    present: frozenset[tuple[Kind, int]]
    doubled: frozenset[int]


async def collect(
    group: EmbeddedSentinel, master: Node, prefix: str, calls: Iterable[Call]
) -> Evidence:
    """
    Looks every write up, acknowledged or not; one round trip for 500.
    """
    numbers: dict[Kind, list[int]] = {"sadd": [], "set": [], "incr": [], "get": []}
    for call in calls:
        numbers[call.kind].append(call.number)
    members = [
        number
        for chunk in _chunks(numbers["sadd"])
        for number, held in zip(
            chunk, await _ask(group, master, "SMISMEMBER", members_key(prefix), *chunk), strict=True
        )
        if held
    ]
    stored = await _values(group, master, partial(set_key, prefix), numbers["set"])
    counters = await _values(group, master, partial(incr_key, prefix), numbers["incr"])
    present: set[tuple[Kind, int]] = {("sadd", number) for number in members}
    present |= {("set", number) for number, value in stored.items() if value == str(number)}
    present |= {("incr", number) for number in counters}
    doubled = frozenset(number for number, value in counters.items() if int(value) > 1)
    return Evidence(present=frozenset(present), doubled=doubled)


async def _values(
    group: EmbeddedSentinel, master: Node, key: Callable[[int], str], numbers: Iterable[int]
) -> dict[int, str]:
    found = {}
    for chunk in _chunks(numbers):
        replies = await _ask(group, master, "MGET", *map(key, chunk))
        pairs = zip(chunk, replies, strict=True)
        found.update({number: str(value) for number, value in pairs if value is not None})
    return found


async def _ask(group: EmbeddedSentinel, master: Node, *command: str | int) -> list[object]:
    reply = await group.command(master, *command, timeout=_TIMEOUT)
    if not isinstance(reply, list):
        raise TypeError(f"{command[0]} was answered with {type(reply).__name__}")
    return list(reply)


def _chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(numbers)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
