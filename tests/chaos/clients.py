"""
The clients under test, behind one small interface: ours, redis-py as it comes and tuned, coredis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import coredis
from coredis.connection import TCPLocation
from coredis.exceptions import PrimaryNotFoundError, StalePrimaryError
from pydantic import ValidationError
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SlaveNotFoundError
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sahool_cache import RedisClient, RedisSettings, UnavailableError
from tests.chaos.history import Kind, Outcome

__all__ = ["CLIENTS", "OURS", "Client", "NotBuiltError"]

OURS = "ours"


class NotBuiltError(Exception):
    """
    The client does not have an option that the scene needs.
    """


class Client(Protocol):
    """
    What the load and the trial use of a client.
    """

    deadline: float | None
    """Seconds after which a call has to be over, if the client promises that."""

    async def open(self) -> None: ...
    async def call(self, kind: Kind, key: str, value: str | None) -> str | None: ...
    def outcome(self, error: Exception) -> Outcome: ...
    async def aclose(self) -> None: ...


class Ours:
    """
    `RedisClient`; an outcome is unknown only where it says so.
    """

    def __init__(self, settings: RedisSettings, options: Mapping[str, Any]) -> None:
        unbuilt = options.keys() - RedisSettings.model_fields.keys()
        if unbuilt:
            raise NotBuiltError(f"RedisSettings has no {', '.join(sorted(unbuilt))}")
        try:
            chosen = RedisSettings.isolated(**(settings.model_dump(exclude_unset=True) | options))
        except ValidationError as error:
            raise NotBuiltError(str(error)) from error
        self.redis = RedisClient(chosen)
        self.deadline: float | None = chosen.command_timeout

    async def open(self) -> None:
        await self.redis.open()
        await self.redis.wait_ready()

    async def call(self, kind: Kind, key: str, value: str | None) -> str | None:
        return await _call(self.redis, self.redis.replica, kind, key, value)

    def outcome(self, error: Exception) -> Outcome:
        # An error reply says that the command did not run, as an UnavailableError does.
        return "failed" if isinstance(error, UnavailableError | ResponseError) else "unknown"

    async def aclose(self) -> None:
        await self.redis.aclose()


class RedisPy:
    """
    redis-py's own Sentinel client, with its defaults.
    """

    retries = False

    def __init__(self, settings: RedisSettings, options: Mapping[str, Any]) -> None:
        del options  # they are settings of ours
        self.deadline: float | None = None
        self._sentinel: Any = Sentinel(
            [tuple(each) for each in settings.sentinels],
            sentinel_kwargs={"password": _plain(settings.sentinel_password), **self.lookups()},
            password=_plain(settings.password),
            decode_responses=True,
            **self.connections(),
        )
        self._master = self._sentinel.master_for(settings.master_name)
        self._replica = self._sentinel.slave_for(settings.master_name)

    def lookups(self) -> dict[str, Any]:
        return {}

    def connections(self) -> dict[str, Any]:
        return {}

    async def open(self) -> None:
        await self._master.ping()

    async def call(self, kind: Kind, key: str, value: str | None) -> str | None:
        return await _call(self._master, self._replica, kind, key, value)

    def outcome(self, error: Exception) -> Outcome:
        nothing_ran = isinstance(error, MasterNotFoundError | SlaveNotFoundError | ResponseError)
        # Where it repeats by itself, an attempt before the last one may have run.
        return "failed" if nothing_ran and not self.retries else "unknown"

    async def aclose(self) -> None:
        for client in (self._master, self._replica, *self._sentinel.sentinels):
            await client.aclose()


class RedisPyTuned(RedisPy):
    """
    redis-py as its documentation and its issues advise for high availability.
    """

    retries = True

    def lookups(self) -> dict[str, Any]:
        return {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}

    def connections(self) -> dict[str, Any]:
        return {
            "socket_timeout": 1.0,
            "socket_connect_timeout": 1.0,
            "retry": Retry(ExponentialWithJitterBackoff(), 10),
            "retry_on_error": [RedisConnectionError, RedisTimeoutError],
            "health_check_interval": 5,
        }


class Coredis:
    """
    coredis's Sentinel client, with its defaults.
    """

    def __init__(self, settings: RedisSettings, options: Mapping[str, Any]) -> None:
        del options
        self.deadline: float | None = None
        self._settings = settings
        self._master: Any = None
        self._replica: Any = None
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._life = asyncio.create_task(self._live(), name="coredis")
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._life}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._life.done():
            await self._life

    async def _live(self) -> None:
        # Its task groups have to be left by the task that entered them, and may cancel it.
        settings, stack = self._settings, AsyncExitStack()
        sentinel: Any = coredis.Sentinel(
            [TCPLocation(*each) for each in settings.sentinels],
            sentinel_kwargs={"password": _plain(settings.sentinel_password)},
            password=_plain(settings.password),
            decode_responses=True,
        )
        async with stack:
            await stack.enter_async_context(sentinel)
            self._master = sentinel.primary_for(settings.master_name)
            self._replica = sentinel.replica_for(settings.master_name)
            await stack.enter_async_context(self._master)
            await stack.enter_async_context(self._replica)
            self._ready.set()
            await self._closing.wait()

    async def call(self, kind: Kind, key: str, value: str | None) -> str | None:
        return await _call(self._master, self._replica, kind, key, value)

    def outcome(self, error: Exception) -> Outcome:
        return (
            "failed" if isinstance(error, PrimaryNotFoundError | StalePrimaryError) else "unknown"
        )

    async def aclose(self) -> None:
        self._closing.set()
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=5.0)


async def _call(master: Any, replica: Any, kind: Kind, key: str, value: str | None) -> str | None:
    match kind:
        case "set":
            await master.set(key, value)
        case "sadd":
            # coredis takes the members as one iterable.
            members = [[value]] if isinstance(master, coredis.Redis) else [value]
            await master.sadd(key, *members)
        case "incr":
            return str(await master.incr(key))
        case "get":
            return _text(await master.get(key))
        case "replica_get":
            return _text(await replica.get(key))
    return None


def _text(reply: Any) -> str | None:
    return None if reply is None else str(reply)


def _plain(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())


CLIENTS: dict[str, Callable[[RedisSettings, Mapping[str, Any]], Client]] = {
    OURS: Ours,
    "redis-py": RedisPy,
    "redis-py-tuned": RedisPyTuned,
    "coredis": Coredis,
}
