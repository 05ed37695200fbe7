"""
Settings to connections: what is dialled with which name, password and certificate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from random import Random
from typing import Any, Protocol, cast

from redis.credentials import CredentialProvider
from redis.driver_info import DriverInfo
from redis.maint_notifications import MaintNotificationsConfig

from sahool_cache.address import Address
from sahool_cache.connection.certificates import Certificates
from sahool_cache.connection.handshake import ManagedConnection, greet
from sahool_cache.connection.login import Login, Provider
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.sentinel import SentinelChannel
from sahool_cache.connection.turnover import lifetime
from sahool_cache.connection.wire import Wire
from sahool_cache.events import CertificatesRefused
from sahool_cache.routing.sentinel_link import Channel
from sahool_cache.settings import RedisSettings, TLSChoice
from sahool_cache.wiring.rights import Emit, Rights

__all__ = ["GREETING", "Dialler", "NetworkDialler", "check_providers"]


GREETING = 3
"""How many times its `sentinel_timeout` a sentinel may take to greet."""


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
    Opens real connections. `providers` are those of the data servers' credentials and of the
    sentinels', None where the settings have them. `logins` are what becomes of both.
    """

    def __init__(
        self,
        settings: RedisSettings,
        *,
        providers: tuple[Provider | None, Provider | None] = (None, None),
        random: Random | None = None,
        tell: Emit = lambda kind, **facts: None,  # noqa: ARG005
    ) -> None:
        self._settings = settings
        # A provider has a little less than a greeting may take: so the two are told apart.
        within = 0.9 * settings.socket_connect_timeout
        self.logins = (
            Login(
                username=settings.username,
                password=_reveal(settings.password),
                file=settings.password_file,
                provider=providers[0],
                within=within,
            ),
            Login(
                username=settings.sentinel_username,
                password=_reveal(settings.sentinel_password),
                file=settings.sentinel_password_file,
                provider=providers[1],
                within=0.9 * GREETING * settings.sentinel_timeout,
                setting="sentinel_",
            ),
        )
        self._lifetime = partial(lifetime, settings.max_connection_age, random or Random())
        rights = Rights(tell)
        common: dict[str, Any] = {
            "protocol": 3,
            "socket_timeout": None,  # callers keep the time; redis-py would make a task per write
            "socket_connect_timeout": settings.socket_connect_timeout,
            "introduction": _introduction(settings.client_name),
            "lifetime": self._lifetime,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        self._data = common | {
            "login": self.logins[0],
            "db": settings.db,
            "decode_responses": settings.decode_responses,
            "tls": _certificates(settings.tls, partial(tell, CertificatesRefused, on="data")),
            "on_missing": rights.missing,
        }
        same = settings.sentinel_tls is None or settings.sentinel_tls == settings.tls
        bad = partial(tell, CertificatesRefused, on="sentinel")
        self._sentinel = common | {
            "login": self.logins[1],
            "decode_responses": True,
            "tls": self._data["tls"] if same else _certificates(settings.sentinel_tls, bad),
            "settings": "sentinel_",
            "on_missing": lambda right: rights.missing(f"{right} on a sentinel"),
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
        wire = await self._greeted(pool, timeout * GREETING)
        return SentinelChannel(wire, timeout=timeout, lives=self._lifetime())

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


def check_providers(
    settings: RedisSettings, providers: tuple[Provider | None, Provider | None]
) -> None:
    """
    Raises `ValueError` where a provider and a password would both say how to log in.
    """
    for setting, provider in zip(("", "sentinel_"), providers, strict=True):
        if provider is None:
            continue
        if not (callable(provider) or isinstance(provider, CredentialProvider)):
            raise TypeError(f"{setting}credential_provider is neither callable nor redis-py's")
        for password in (f"{setting}password", f"{setting}password_file"):
            if getattr(settings, password) is not None:
                raise ValueError(
                    f"give either {setting}credential_provider or {password}, not both"
                )


def _certificates(tls: TLSChoice, on_bad: Callable[..., None]) -> Certificates | None:
    return Certificates(tls, lambda why: on_bad(why=why)) if tls else None


def _introduction(client_name: str | None) -> tuple[tuple[str, ...], ...]:
    driver = DriverInfo().add_upstream_driver("sahool-cache", _version())
    name = (("CLIENT", "SETNAME", client_name),) if client_name else ()
    library = ("CLIENT", "SETINFO", "LIB-NAME", driver.formatted_name or "")
    version = ("CLIENT", "SETINFO", "LIB-VER", str(driver.lib_version))
    return (*name, library, version)


def _version() -> str:
    try:
        return version("sahool-cache")
    except PackageNotFoundError:  # used from a source tree
        return "0"


def _reveal(secret: Any) -> str | None:
    return secret.get_secret_value() if secret is not None else None
