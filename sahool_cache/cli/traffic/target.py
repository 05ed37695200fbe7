"""
What carries the traffic: the keys of each kind of call, and our client as a target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from sahool_cache.cli.traffic.ledger import Kind
from sahool_cache.client import RedisClient
from sahool_cache.observers import Observer
from sahool_cache.settings import RedisSettings

__all__ = ["KEPT", "Ours", "Target", "chunks", "counters_key", "members_key", "set_key"]

KEPT = 3600
"""Seconds after which the keys of a run expire that nobody was left to remove."""

_CHUNK = 500


class Target(Protocol):
    """
    A client under traffic. Each call of a kind has a number of its own.
    """

    title: str
    prefix: str

    async def open(self) -> None:
        """
        Connects, if it does so before the first call.
        """

    async def call(self, kind: Kind, number: int) -> None:
        """
        Returns when the call is acknowledged; raises what the application would see.
        """

    async def aclose(self) -> None:
        """
        Ends every connection.
        """


def members_key(prefix: str) -> str:
    """
    The set to which every SADD adds its number.
    """
    return f"{prefix}:members"


def set_key(prefix: str, number: int) -> str:
    """
    The key that one SET makes.
    """
    return f"{prefix}:set:{number}"


def counters_key(prefix: str) -> str:
    """
    The hash in which every HINCRBY counts in a field of its own: above 1 if that call ran twice.
    """
    return f"{prefix}:counters"


def chunks(numbers: Iterable[int]) -> Iterator[list[int]]:
    """
    The numbers by the 500: as many as are sent in one round trip.
    """
    rest = iter(numbers)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


class Ours:
    """
    `RedisClient`. All keys expire after an hour, if nobody removes them before.
    """

    title = "RedisClient"

    def __init__(self, settings: RedisSettings, observer: Observer, *, prefix: str) -> None:
        self.redis = RedisClient(settings, observers=[observer])
        self.prefix = prefix

    async def open(self) -> None:
        """
        Connects to the group, and makes the two keys that many calls share.
        """
        await self.redis.open()
        members, counters = members_key(self.prefix), counters_key(self.prefix)
        async with self.redis.pipeline() as pipe:
            pipe.sadd(members, 0)
            pipe.expire(members, KEPT)
            pipe.hset(counters, "0", "0")
            pipe.expire(counters, KEPT)
            await pipe.execute()

    async def call(self, kind: Kind, number: int) -> None:
        """
        Returns when the call is acknowledged.
        """
        match kind:
            case "sadd":
                await self.redis.sadd(members_key(self.prefix), number)
            case "set":
                await self.redis.set(set_key(self.prefix, number), number, ex=KEPT)
            case "hincrby":
                await self.redis.hincrby(counters_key(self.prefix), str(number))
            case "get":
                await self.redis.get(set_key(self.prefix, number), use_slave=True)

    async def remove(self, sets: Iterable[int]) -> None:
        """
        Removes the shared keys, and those that these SETs made.
        """
        await self.redis.unlink(members_key(self.prefix), counters_key(self.prefix))
        for chunk in chunks(sets):
            await self.redis.unlink(*(set_key(self.prefix, number) for number in chunk))

    async def aclose(self) -> None:
        """
        Ends every connection.
        """
        await self.redis.aclose()
