"""
The clients that are compared, each called as its users call it. Ioredis has a file of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, Protocol

import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from sahool_cache import RedisClient, RedisSettings, TLSSettings
from sahool_cache.address import Address
from tests.benchmarks.model import BASELINE, OURS, Target

__all__ = [
    "CLIENTS",
    "AbsentError",
    "Client",
    "Ours",
    "RedisPy",
    "RefusedError",
    "installed",
    "make_client",
]

_CONNECTIONS = 50
_REPLICAS_WITHIN = 10.0


class AbsentError(Exception):
    """
    The client is not installed here.
    """


class RefusedError(Exception):
    """
    The client has no such option.
    """


class Client(Protocol):
    """
    What the loads call. `get`, `set` and `mget` are the library's own methods, with nothing of
    ours round them, wherever it has them.
    """

    get: Callable[[str], Awaitable[Any]]
    set: Callable[[str, bytes], Awaitable[Any]]
    mget: Callable[[list[str]], Awaitable[Any]]

    async def open(self) -> None: ...
    def set_all(self, keys: Sequence[str], value: bytes) -> Awaitable[Any]: ...
    def durable_set(self, key: str, value: bytes) -> Awaitable[Any]: ...
    def script(self, text: str) -> Awaitable[Any]: ...
    async def aclose(self) -> None: ...


class _Pipelining:
    """
    redis-py's way of writing a pipeline, which is also ours.
    """

    redis: Any

    def take(self, redis: Any) -> None:
        self.redis = redis
        self.get, self.set, self.mget = redis.get, redis.set, redis.mget

    async def set_all(self, keys: Sequence[str], value: bytes) -> Any:
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, value)
        return await pipe.execute()

    def script(self, text: str) -> Awaitable[Any]:
        answer: Awaitable[Any] = self.redis.eval(text, 0)
        return answer

    async def aclose(self) -> None:
        await self.redis.aclose()


class Ours(_Pipelining):
    """
    `RedisClient`, through the sentinels, with its defaults but for replies as bytes.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        place: dict[str, Any] = {
            "sentinels": [Address(*each) for each in target.sentinels],
            "master_name": target.master_name,
            "address_map": dict(target.ways),
            "decode_responses": False,
        }
        if target.ca_file is not None:
            place |= {"tls": TLSSettings(ca_file=target.ca_file), "sentinel_tls": False}
        try:
            self._settings = RedisSettings.isolated(**(place | dict(options)))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        self._replicas = len(target.replica_pids) if "read_from" in options else 0

    async def open(self) -> None:
        self.take(RedisClient(self._settings))
        await self.redis.open()
        await self.redis.wait_ready()
        async with asyncio.timeout(_REPLICAS_WITHIN):
            while len(self.redis.topology.in_rotation) < self._replicas:
                await asyncio.sleep(0.01)

    def durable_set(self, key: str, value: bytes) -> Awaitable[Any]:
        # The setting `durability` makes it durable, as for a user.
        answer: Awaitable[Any] = self.set(key, value)
        return answer


class RedisPy(_Pipelining):
    """
    The baseline: redis-py with a blocking pool of 50 that waits for ever, otherwise its defaults.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        del options  # they are settings of ours
        self.target = target

    async def open(self) -> None:
        pool = redis.asyncio.BlockingConnectionPool(
            max_connections=_CONNECTIONS, timeout=None, **self.place()
        )
        self.take(redis.asyncio.Redis.from_pool(pool))

    def place(self) -> dict[str, Any]:
        host, port = self.target.master
        place: dict[str, Any] = {"host": host, "port": port}
        if self.target.ca_file is not None:
            place |= {
                "connection_class": redis.asyncio.SSLConnection,
                "ssl_ca_certs": self.target.ca_file,
            }
        return place

    async def durable_set(self, key: str, value: bytes) -> Any:
        pipe = self.redis.pipeline(transaction=False)
        pipe.set(key, value)
        pipe.execute_command("WAIT", 1, 100)
        _, confirmed = await pipe.execute()
        assert confirmed >= 1, "no replica confirmed the write"


class _Taking(RedisPy):
    """
    A plain pool behind a fair semaphore, as its own waiting is neither quick nor fair.
    """

    def take(self, redis: Any) -> None:
        super().take(redis)
        turn = asyncio.Semaphore(_CONNECTIONS)

        def in_turn(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def call(*arguments: Any) -> Any:
                async with turn:
                    return await method(*arguments)

            return call

        self.get, self.set, self.mget = map(in_turn, (redis.get, redis.set, redis.mget))


class RedisPyTuned(_Taking):
    """
    redis-py at its quickest: no timeouts of sockets, a plain pool behind a semaphore.
    """

    async def open(self) -> None:
        pool = redis.asyncio.ConnectionPool(socket_timeout=None, **self.place())
        self.take(redis.asyncio.Redis.from_pool(pool))


class RedisPySentinel(_Taking):
    """
    redis-py's own way to a Sentinel group, behind the same semaphore: its pool raises when full.
    """

    async def open(self) -> None:
        self._sentinel: Any = Sentinel(list(self.target.sentinels))
        self.take(self._sentinel.master_for(self.target.master_name))
        await self.redis.ping()  # or every task asks the sentinels at once

    async def aclose(self) -> None:
        await super().aclose()
        for client in self._sentinel.sentinels:
            await client.aclose()


class Coredis:
    """
    coredis with its defaults, which multiplex.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        del options
        self._target = target
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        coredis = installed("coredis")
        self._redis: Any = coredis.Redis(*self._target.master)
        await self._stack.enter_async_context(self._redis)
        self.get, self.set, self.mget = self._redis.get, self._redis.set, self._redis.mget

    async def set_all(self, keys: Sequence[str], value: bytes) -> Any:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.set(key, value)

    def durable_set(self, key: str, value: bytes) -> Awaitable[Any]:
        raise NotImplementedError

    def script(self, text: str) -> Awaitable[Any]:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._stack.aclose()


class Glide:
    """
    valkey-glide with its defaults, but that it may have as many requests under way as tasks ask.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        del options
        self._target = target

    async def open(self) -> None:
        self._glide: Any = installed("glide")
        self._glide.Logger.init(self._glide.LogLevel.ERROR)
        self._redis: Any = await self._glide.GlideClient.create(
            self._glide.GlideClientConfiguration(
                [self._glide.NodeAddress(*self._target.master)],
                request_timeout=10_000,
                inflight_requests_limit=20_000,
            )
        )
        self.get, self.set, self.mget = self._redis.get, self._redis.set, self._redis.mget

    def set_all(self, keys: Sequence[str], value: bytes) -> Awaitable[Any]:
        batch = self._glide.Batch(is_atomic=False)
        for key in keys:
            batch.set(key, value)
        answer: Awaitable[Any] = self._redis.exec(batch, raise_on_error=True)
        return answer

    def durable_set(self, key: str, value: bytes) -> Awaitable[Any]:
        raise NotImplementedError

    def script(self, text: str) -> Awaitable[Any]:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._redis.close()


def installed(package: str) -> Any:
    """
    The package. Raises `AbsentError`.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise AbsentError(f"{package} is not installed") from error


CLIENTS: dict[str, Callable[[Target, Mapping[str, Any]], Client]] = {
    OURS: Ours,
    BASELINE: RedisPy,
    "redis-py tuned": RedisPyTuned,
    "redis-py sentinel": RedisPySentinel,
    "coredis": Coredis,
    "valkey-glide": Glide,
}
"""By name. Variants of ours, such as ``ours, text``, are ours with other options."""


def make_client(name: str, target: Target, options: Mapping[str, Any]) -> Client:
    """
    The client of that name; a variant has its own name after a comma.

    Raises `RefusedError` for options that it does not have.
    """
    return CLIENTS[name.partition(",")[0]](target, options)
