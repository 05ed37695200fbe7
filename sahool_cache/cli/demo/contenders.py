"""
The two clients that carry the same traffic: ours, and redis-py's bare Sentinel client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redis.asyncio.sentinel import Sentinel

from sahool_cache.address import Address
from sahool_cache.cli.demo.ledger import Kind
from sahool_cache.client import RedisClient
from sahool_cache.observers import Observer
from sahool_cache.settings import RedisSettings

__all__ = ["Contender", "Ours", "RedisPy", "incr_key", "members_key", "set_key"]


class Contender(Protocol):
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


def incr_key(prefix: str, number: int) -> str:
    """
    The counter that one INCR makes: above 1 if that call ran twice.
    """
    return f"{prefix}:incr:{number}"


class Ours:
    """
    `RedisClient` with its default settings.
    """

    title = "RedisClient"
    prefix = "demo:ours"

    def __init__(self, settings: RedisSettings, observer: Observer) -> None:
        self.redis = RedisClient(settings, observers=[observer])

    async def open(self) -> None:
        """
        Connects to the group.
        """
        await self.redis.open()

    async def call(self, kind: Kind, number: int) -> None:
        """
        Returns when the call is acknowledged.
        """
        match kind:
            case "sadd":
                await self.redis.sadd(members_key(self.prefix), number)
            case "set":
                await self.redis.set(set_key(self.prefix, number), number)
            case "incr":
                await self.redis.incr(incr_key(self.prefix, number))
            case "get":
                await self.redis.get(set_key(self.prefix, number), use_slave=True)

    async def aclose(self) -> None:
        """
        Ends every connection.
        """
        await self.redis.aclose()


class RedisPy:
    """
    redis-py's clients for the master and the replicas, as its documentation makes them.
    """

    title = "redis-py"
    prefix = "demo:redis-py"

    def __init__(self, sentinels: Sequence[Address], master_name: str) -> None:
        self._sentinel = Sentinel([tuple(address) for address in sentinels])
        self._master = self._sentinel.master_for(master_name)
        self._replica = self._sentinel.replica_for(master_name)

    async def open(self) -> None:
        """
        Does nothing: it connects on the first call.
        """

    async def call(self, kind: Kind, number: int) -> None:
        """
        Returns when the call is acknowledged.
        """
        match kind:
            case "sadd":
                await self._master.sadd(members_key(self.prefix), number)
            case "set":
                await self._master.set(set_key(self.prefix, number), number)
            case "incr":
                await self._master.incr(incr_key(self.prefix, number))
            case "get":
                await self._replica.get(set_key(self.prefix, number))

    async def aclose(self) -> None:
        """
        Ends every connection, those to the sentinels too.
        """
        for client in (self._master, self._replica, *self._sentinel.sentinels):
            await client.aclose()
