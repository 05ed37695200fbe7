"""
The reads that take `use_slave=True`: from a fit replica where there is one, else the master.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Literal

from redis.commands import AsyncCoreCommands

__all__ = ["ReplicaReads"]

_redis_py: Any = AsyncCoreCommands  # typed for its whole clients only


class ReplicaReads(AsyncCoreCommands):
    """
    redis-py's methods of these names, with one argument more; results and costs are theirs.
    """

    _is_async_client: Literal[True] = True

    @property
    def replica(self) -> Any:
        """
        The view that reads from replicas.
        """
        raise NotImplementedError

    def _from(self, use_slave: bool) -> Any:
        return self.replica if use_slave else self

    def get(self, name: Any, *, use_slave: bool = False) -> Awaitable[bytes | str | None]:
        """
        The value at key `name`, or None.
        """
        answer: Awaitable[Any] = _redis_py.get(self._from(use_slave), name)
        return answer

    def mget(
        self, keys: Any, *args: Any, use_slave: bool = False
    ) -> Awaitable[list[bytes | str | None]]:
        """
        The values at these keys, None for each that does not exist.
        """
        answer: Awaitable[Any] = _redis_py.mget(self._from(use_slave), keys, *args)
        return answer

    def exists(self, *names: Any, use_slave: bool = False) -> Awaitable[int]:
        """
        How many of these keys exist.
        """
        answer: Awaitable[Any] = _redis_py.exists(self._from(use_slave), *names)
        return answer

    def hget(
        self, name: Any, key: Any, *, use_slave: bool = False
    ) -> Awaitable[bytes | str | None]:
        """
        The value of one field of a hash, or None.
        """
        answer: Awaitable[Any] = _redis_py.hget(self._from(use_slave), name, key)
        return answer

    def hmget(
        self, name: Any, keys: Any, *args: Any, use_slave: bool = False
    ) -> Awaitable[list[bytes | str | None]]:
        """
        The values of these fields of a hash, None for each that does not exist.
        """
        answer: Awaitable[Any] = _redis_py.hmget(self._from(use_slave), name, keys, *args)
        return answer

    def hgetall(
        self, name: Any, *, use_slave: bool = False
    ) -> Awaitable[dict[bytes | str, bytes | str]]:
        """
        All fields and values of a hash.
        """
        answer: Awaitable[Any] = _redis_py.hgetall(self._from(use_slave), name)
        return answer

    def lrange(
        self, name: Any, start: int, end: int, *, use_slave: bool = False
    ) -> Awaitable[list[bytes | str]]:
        """
        The items of a list from `start` to `end`, both included.
        """
        answer: Awaitable[Any] = _redis_py.lrange(self._from(use_slave), name, start, end)
        return answer

    def llen(self, name: Any, *, use_slave: bool = False) -> Awaitable[int]:
        """
        The length of a list.
        """
        answer: Awaitable[Any] = _redis_py.llen(self._from(use_slave), name)
        return answer

    def smembers(self, name: Any, *, use_slave: bool = False) -> Awaitable[set[bytes | str]]:
        """
        All members of a set.
        """
        answer: Awaitable[Any] = _redis_py.smembers(self._from(use_slave), name)
        return answer

    def sismember(
        self, name: Any, value: Any, *, use_slave: bool = False
    ) -> Awaitable[Literal[0, 1]]:
        """
        1 if `value` is a member of the set, else 0.
        """
        answer: Awaitable[Any] = _redis_py.sismember(self._from(use_slave), name, value)
        return answer

    def scard(self, name: Any, *, use_slave: bool = False) -> Awaitable[int]:
        """
        The number of members of a set.
        """
        answer: Awaitable[Any] = _redis_py.scard(self._from(use_slave), name)
        return answer

    def zscore(self, name: Any, value: Any, *, use_slave: bool = False) -> Awaitable[float | None]:
        """
        The score of a member of a sorted set, or None.
        """
        answer: Awaitable[Any] = _redis_py.zscore(self._from(use_slave), name, value)
        return answer

    def zcard(self, name: Any, *, use_slave: bool = False) -> Awaitable[int]:
        """
        The number of members of a sorted set.
        """
        answer: Awaitable[Any] = _redis_py.zcard(self._from(use_slave), name)
        return answer

    def ttl(self, name: Any, *, use_slave: bool = False) -> Awaitable[int]:
        """
        The seconds a key has left to live; -1 for ever, -2 for no such key.
        """
        answer: Awaitable[Any] = _redis_py.ttl(self._from(use_slave), name)
        return answer

    def type(self, name: Any, *, use_slave: bool = False) -> Awaitable[bytes | str]:
        """
        The type of the value at key `name`: ``string``, ``hash``, ..., ``none``.
        """
        answer: Awaitable[Any] = _redis_py.type(self._from(use_slave), name)
        return answer

    def strlen(self, name: Any, *, use_slave: bool = False) -> Awaitable[int]:
        """
        The length of the string at key `name`.
        """
        answer: Awaitable[Any] = _redis_py.strlen(self._from(use_slave), name)
        return answer

    def zrange(
        self, name: Any, start: Any, end: Any, *args: Any, use_slave: bool = False, **options: Any
    ) -> Awaitable[Any]:
        """
        The members of a sorted set from `start` to `end`; further arguments as in redis-py.
        """
        answer: Awaitable[Any] = _redis_py.zrange(
            self._from(use_slave), name, start, end, *args, **options
        )
        return answer
