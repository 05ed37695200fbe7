"""
What the master really holds at the end, read past the clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sahool_cache.cli.traffic.ledger import Call, Kind
from sahool_cache.cli.traffic.target import chunks, counters_key, members_key, set_key

__all__ = ["Ask", "Evidence", "collect"]

Ask = Callable[..., Awaitable[object]]
"""The master's reply to the command whose words are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    The writes that the master holds, by kind and number, and the counters above 1.
    """

    present: frozenset[tuple[Kind, int]]
    doubled: frozenset[int]


async def collect(ask: Ask, prefix: str, calls: Iterable[Call]) -> Evidence:
    """
    Looks every write up, acknowledged or not; one round trip for 500.
    """
    numbers: dict[Kind, list[int]] = {"sadd": [], "set": [], "hincrby": [], "get": []}
    for call in calls:
        numbers[call.kind].append(call.number)
    members, counters = members_key(prefix), counters_key(prefix)
    present: set[tuple[Kind, int]] = set()
    doubled: set[int] = set()
    for chunk in chunks(numbers["sadd"]):
        held = await _ask(ask, "SMISMEMBER", members, *chunk)
        present |= {("sadd", each) for each, is_held in zip(chunk, held, strict=True) if is_held}
    for chunk in chunks(numbers["set"]):
        values = await _ask(ask, "MGET", *(set_key(prefix, each) for each in chunk))
        pairs = zip(chunk, values, strict=True)
        present |= {("set", each) for each, value in pairs if str(value) == str(each)}
    for chunk in chunks(numbers["hincrby"]):
        values = await _ask(ask, "HMGET", counters, *chunk)
        found = {each: value for each, value in zip(chunk, values, strict=True) if value}
        present |= {("hincrby", each) for each in found}
        doubled |= {each for each, value in found.items() if int(str(value)) > 1}
    return Evidence(present=frozenset(present), doubled=frozenset(doubled))


async def _ask(ask: Ask, *command: str | int) -> list[object]:
    reply = await ask(*command)
    if not isinstance(reply, list):
        raise TypeError(f"{command[0]} was answered with {type(reply).__name__}")
    return list(reply)
