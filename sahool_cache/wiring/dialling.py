"""
Settings to connections: what is dialled with which name, password and certificate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, cast

from redis.driver_info import DriverInfo
from redis.maint_notifications import MaintNotificationsConfig

from sahool_cache.address import Address
from sahool_cache.connection.handshake import ManagedConnection, greet
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.sentinel import SentinelChannel
from sahool_cache.connection.wire import Wire
from sahool_cache.routing.sentinel_link import Channel
from sahool_cache.settings import RedisSettings, ssl_context

__all__ = ["Dialler", "NetworkDialler"]


class Dialler(Protocol):
    """
    Opens connections. The simulation has one of its own.
    """

    def server(
        self, address: Address
    ) -> tuple[Callable[[Address], Awaitable[Wire]], ExclusivePool | None]:
        """
        How to open a lane to that server, and its pool of exclusive connections.
        """
        ...

    async def sentinel(self, address: Address) -> Channel:
        """
        A connection to that sentinel.
        """
        ...


class NetworkDialler:
    """
    Opens real connections.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        tls, sentinel_tls = settings.tls, settings.sentinel_tls
        data_context = ssl_context(tls)
        same = sentinel_tls is None or sentinel_tls == tls
        sentinel_context = data_context if same else ssl_context(sentinel_tls)
        common: dict[str, Any] = {
            "protocol": 3,
            "socket_timeout": None,  # callers keep the time; redis-py would make a task per write
            "socket_connect_timeout": settings.socket_connect_timeout,
            "driver_info": DriverInfo().add_upstream_driver("sahool-cache", _version()),
            "client_name": settings.client_name,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        self._data = common | {
            "db": settings.db,
            "username": settings.username,
            "password": _reveal(settings.password),
            "decode_responses": settings.decode_responses,
            "tls": data_context,
        }
        self._sentinel = common | {
            "username": settings.sentinel_username,
            "password": _reveal(settings.sentinel_password),
            "decode_responses": True,
            "tls": sentinel_context,
            "settings": "sentinel_",
        }

    def server(
        self, address: Address
    ) -> tuple[Callable[[Address], Awaitable[Wire]], ExclusivePool | None]:
        """
        How to open a lane to that server, and its pool of exclusive connections.
        """
        settings = self._settings
        shared = settings.lanes + bool(settings.near_cache)
        pool = self._pool(address, settings.max_connections - shared, self._data)

        async def dial(_address: Address) -> Wire:
            return await self._greeted(pool, settings.socket_connect_timeout)

        return dial, pool

    async def sentinel(self, address: Address) -> Channel:
        """
        A connection to that sentinel.
        """
        timeout = self._settings.sentinel_timeout
        pool = self._pool(address, 1, self._sentinel)
        return SentinelChannel(await self._greeted(pool, timeout * 3), timeout=timeout)

    def _pool(self, address: Address, size: int, options: dict[str, Any]) -> ExclusivePool:
        return ExclusivePool(
            address,
            size=size,
            connect_timeout=self._settings.socket_connect_timeout,
            **options,
        )

    async def _greeted(self, pool: ExclusivePool, timeout: float) -> ManagedConnection:
        connection = cast("ManagedConnection", pool.make_connection())
        await greet(connection, timeout)
        return connection


def _version() -> str:
    try:
        return version("sahool-cache")
    except PackageNotFoundError:  # used from a source tree
        return "0"


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None
