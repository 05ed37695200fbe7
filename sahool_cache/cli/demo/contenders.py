"""
The client that carries the same traffic beside ours: redis-py's bare Sentinel client.
"""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio.sentinel import Sentinel

from sahool_cache.address import Address
from sahool_cache.cli.traffic.ledger import Kind
from sahool_cache.cli.traffic.target import counters_key, members_key, set_key

__all__ = ["RedisPy"]


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
            case "hincrby":
                await self._master.hincrby(counters_key(self.prefix), str(number))
            case "get":
                await self._replica.get(set_key(self.prefix, number))

    async def aclose(self) -> None:
        """
        Ends every connection, those to the sentinels too.
        """
        for client in (self._master, self._replica, *self._sentinel.sentinels):
            await client.aclose()
