"""
`RedisSettings`: every setting with its default, and the order of the sources that may set it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from sahool_cache.address import Address
from sahool_cache.settings.environment import PREFIX
from sahool_cache.settings.fields import (
    Addresses,
    AddressMap,
    Announced,
    ClientName,
    Count,
    Durable,
    Duration,
    MasterName,
    ReadFrom,
    Secret,
    SecretFile,
    Threshold,
    Username,
    without_input,
)
from sahool_cache.settings.files import is_there
from sahool_cache.settings.names import GROUPS, flat_names, refuse_unknown
from sahool_cache.settings.near_cache import NearCacheChoice, read_near_cache
from sahool_cache.settings.sources import ISOLATED, NOT_FIELDS, URL, layers
from sahool_cache.settings.switch import as_layer
from sahool_cache.settings.tls import TLSChoice, read_tls

__all__ = ["RedisSettings"]


class RedisSettings(BaseSettings):
    """
    Everything that a client needs to know; frozen, and it pickles. Nothing connects.

    What is not passed is read from ``REDIS_URL``, the other ``REDIS_*`` variables, the file
    ``.env`` in the current directory (its own ``REDIS_URL`` first), and the defaults, in this
    order. An empty variable is not set; ``tls=True`` takes its details from ``REDIS_TLS_*``.
    Raises `ValueError`, mostly pydantic's `ValidationError`, that names the field and never quotes
    a secret. Checking reads the TLS files, if there are any.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
    )

    sentinels: Addresses = Field(
        default=(),
        validate_default=True,
        description="Addresses of sentinels, at least one; the port is 26379 unless given, and "
        "sentinels that are not listed are learned.",
    )
    master_name: MasterName = Field(
        default="",
        validate_default=True,
        description="The name under which the sentinels know the group; there is no default.",
    )
    username: Username = Field(
        default=None, description="ACL user on the data servers; unset means the default user."
    )
    password: Secret = Field(default=None, description="Password on the data servers.")
    password_file: SecretFile = Field(
        default=None,
        description="File that holds the password, instead of `password`: read at every connect, "
        "and when it has changed, live connections log in again.",
    )
    db: Count = Field(default=0, ge=0, description="Number of the database to select.")
    tls: TLSChoice = Field(
        default=None,
        description="TLS to the data servers: true, false, or `TLSSettings`; unset means plain.",
    )
    sentinel_username: Username = Field(default=None, description="ACL user on the sentinels.")
    sentinel_password: Secret = Field(default=None, description="Password on the sentinels.")
    sentinel_password_file: SecretFile = Field(
        default=None, description="The same for the sentinels, instead of `sentinel_password`."
    )
    sentinel_tls: TLSChoice = Field(
        default=None,
        description="TLS to the sentinels: true, false, or `TLSSettings`; unset means as `tls`.",
    )
    socket_timeout: Duration = Field(
        default=5.0,
        description="Seconds without one byte from a server, while replies are due, until its "
        "connection is given up.",
    )
    socket_connect_timeout: Duration = Field(
        default=5.0, description="Seconds that connecting to a server may take."
    )
    max_connections: Count = Field(
        default=50,
        ge=2,
        description="Connections to one server, at most: lanes and exclusive ones together.",
    )
    max_connection_age: Threshold = Field(
        default=None,
        ge=0.1,
        description="Seconds after which no connection is used any more: each is replaced before, "
        "at a moment of its own, the new one first. None, or off, for never.",
    )
    command_timeout: Duration = Field(
        default=10.0,
        description="Seconds that one call may take: waiting, connecting, and every attempt.",
    )
    decode_responses: bool = Field(
        default=True, description="Whether replies are text (UTF-8), not bytes."
    )
    address_map: Announced = Field(
        default_factory=AddressMap,
        description="For each address that a sentinel announces and that cannot be reached "
        "(Docker, NAT), the address to dial instead.",
    )
    read_from: ReadFrom = Field(
        default="master",
        description="Where reads go: master, replica, replica_preferred (the master if no replica "
        "is fit), or nearest (by measured round trip).",
    )
    max_replica_lag: Duration = Field(
        default=2.0,
        description="Seconds that a replica may be behind its master and still be read from.",
    )
    early_promotion: bool = Field(
        default=True,
        description="Whether a promoted replica is followed before the sentinels announce it.",
    )
    durability: Durable = Field(
        default=0,
        description='Replicas that must confirm a write before it counts: a number, or "all" that '
        "the master lists as online, and at least one.",
    )
    durability_timeout: Duration = Field(
        default=0.1, description="Seconds that the replicas may take to confirm a write."
    )
    near_cache: NearCacheChoice = Field(
        default=False,
        description="Whether replies to reads are kept in this process until the server says that "
        "they have changed: true, false, or `NearCacheSettings`.",
    )
    lanes: Count = Field(
        default=1,
        ge=1,
        description="Shared connections to one server, fewer than `max_connections`; each carries "
        "the commands of many callers.",
    )
    max_waiting: Count = Field(
        default=100_000,
        ge=1,
        description="Calls that may wait at once for a failover; further ones are refused.",
    )
    slow_threshold: Threshold = Field(
        default=0.1,
        description="Seconds after which a call is reported as slow; None, or off, for never.",
    )
    client_name: ClientName = Field(
        default=None,
        description="Name of the connections in CLIENT LIST: printable ASCII without blanks.",
    )
    sentinel_timeout: Duration = Field(
        default=0.3, description="Seconds that one sentinel may take to answer."
    )
    poll_interval: Duration = Field(
        default=5.0, description="Seconds between polls of every sentinel while all is well."
    )
    quiet_after: Duration = Field(
        default=0.2,
        description="Seconds without one byte, while replies are due, until a server is suspect.",
    )
    breaker_failures: Count = Field(
        default=3, ge=1, description="Failures in a row until a server's breaker opens."
    )
    breaker_open_for: Duration = Field(
        default=1.0, description="Seconds that an open breaker refuses calls before it probes."
    )
    breaker_probes: Count = Field(
        default=1, ge=1, description="Calls at once that may probe a server behind its breaker."
    )
    retry_budget: Count = Field(
        default=20_000,
        ge=0,
        description="Attempts beyond the first that may be spent at once by all calls; it refills.",
    )

    def __init__(self, **settings: Any) -> None:
        refuse_unknown(sorted(settings.keys() - NOT_FIELDS), type(self).model_fields)
        for name in GROUPS.keys() & settings.keys():
            settings[name] = as_layer(settings[name])
        try:
            super().__init__(**settings)
        except UnicodeDecodeError as error:  # it has the whole file in it, with the passwords
            place = error.start
        else:
            return
        raise ValueError(f".env is not UTF-8 (byte {place})")

    @classmethod
    def from_url(cls, url: str, **overrides: Any) -> Self:
        """
        Returns the settings of ``redis+sentinel://user:password@host:port,host/master-name/db``.

        ``rediss+sentinel://`` turns TLS on, to sentinels too. Any setting may be a parameter
        (``?read_from=nearest``), and those of `TLSSettings` and `NearCacheSettings` are
        ``<setting>_<field>`` (``?tls_ca_file=ca.pem``). The URL takes the place of
        ``REDIS_URL``; what it leaves open comes from the other sources. Raises `ValueError` that
        names the part which is wrong.
        """
        return cls(**{URL: url}, **overrides)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """
        Returns the settings of the environment and ``.env``; `overrides` rank above both.
        """
        return cls(**overrides)

    def __setattr__(self, name: str, _value: object) -> None:
        # pydantic's own refusal quotes the value, which may be a password.
        raise ValueError(f"settings are frozen: use model_copy(update={{{name!r}: ...}})")

    @classmethod
    def isolated(cls, **settings: Any) -> Self:
        """
        Returns exactly these settings over the defaults; environment and ``.env`` are not read.
        """
        return cls(**{ISOLATED: True}, **settings)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """
        Returns these settings with some replaced, checked like new ones; `deep` changes nothing.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return self.isolated(**{**given, **(update or {})})

    def reachable(self, address: Address) -> Address:
        """
        Returns where to dial the server that the sentinels announce under this address.
        """
        return self.address_map.get(address, address)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        shown = list(islice(map(str, self.sentinels), 3))
        more = [f"+{len(self.sentinels) - 3} more"] if len(self.sentinels) > 3 else []
        yield "master_name", self.master_name
        yield "sentinels", ", ".join(shown + more)
        yield "db", self.db
        yield "read_from", self.read_from

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """
        Returns the sources, highest rank first.
        """
        known = flat_names(cls.model_fields)
        found = layers(init_settings(), (env_settings, dotenv_settings), known)
        return tuple(InitSettingsSource(settings_cls, layer) for layer in found)

    @model_validator(mode="wrap")
    @classmethod
    def _hide_input(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise without_input(error) from None

    @field_validator("tls", "sentinel_tls", mode="before")
    @classmethod
    def _read_tls(cls, value: object) -> object:
        return read_tls(value)

    @field_validator("near_cache", mode="before")
    @classmethod
    def _read_near_cache(cls, value: object) -> object:
        return read_near_cache(value)

    @field_validator("password_file", "sentinel_password_file")
    @classmethod
    def _is_the_only_password(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        other = (info.field_name or "").removesuffix("_file")
        if path is not None and info.data.get(other) is not None:
            raise ValueError(f"give either this or {other}, not both")
        return is_there(path)

    @field_validator("lanes")
    @classmethod
    def _leaves_room(cls, lanes: int, info: ValidationInfo) -> int:
        most = info.data.get("max_connections")
        taken = bool(info.data.get("near_cache"))  # it has a connection of its own
        if most is not None and lanes + taken >= most:
            raise ValueError(f"must be less than max_connections, which is {most}")
        return lanes
