"""
What a group is made of, and the configuration files that make it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sahool_cache.address import Address

__all__ = [
    "DISKLESS_SYNC",
    "GroupConfig",
    "Place",
    "SentinelIdentity",
    "Setting",
    "diskless_sync",
    "greeting",
    "sentinel_text",
    "server_text",
    "tuning",
]

DISKLESS_SYNC = "repl-diskless-sync"
Setting = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where one member listens, and the words that go before its command line to start it there.
    """

    address: Address
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """
    The shape of a group; durations are in seconds. Raises `ValueError` that names the field.

    `places` holds one place for each member, the master's first and the sentinels' last, all with
    different ports; if it is empty, the members run on free ports of loopback.
    """

    replicas: int = 2
    sentinels: int = 3
    password: str | None = None
    sentinel_password: str | None = None
    master_name: str = "sahool-master"
    down_after: float = 1.0
    failover_timeout: float = 10.0
    parallel_syncs: int | None = None
    quorum: int | None = None
    server_config: Mapping[str, Setting] = field(default_factory=dict)
    sentinel_debug: Mapping[str, int] = field(default_factory=dict)
    places: Sequence[Place] = ()

    @property
    def members(self) -> int:
        """
        How many processes the group has.
        """
        return 1 + self.replicas + self.sentinels

    def __post_init__(self) -> None:
        if self.replicas < 0:
            raise ValueError(f"replicas must be 0 or more, not {self.replicas}")
        if self.sentinels < 1:
            raise ValueError(f"sentinels must be 1 or more, not {self.sentinels}")
        if self.quorum is not None and not 1 <= self.quorum <= self.sentinels:
            raise ValueError(f"quorum must be between 1 and {self.sentinels}, not {self.quorum}")
        if self.parallel_syncs is not None and self.parallel_syncs < 1:
            raise ValueError(f"parallel_syncs must be 1 or more, not {self.parallel_syncs}")
        ports = {place.address.port for place in self.places}
        if self.places and not len(ports) == len(self.places) == self.members:
            raise ValueError(f"places must be {self.members} places with different ports, or none")
        for name in ("down_after", "failover_timeout"):
            if not getattr(self, name) >= 0.001:  # NaN is neither
                raise ValueError(f"{name} must be 0.001 s or more, not {getattr(self, name)}")
        for name in ("master_name", "password", "sentinel_password"):
            value = getattr(self, name)
            # Sentinel writes these back without quotes, and could not read them again.
            if value is not None and (not value or not _is_one_word(value)):
                raise ValueError(f"{name} must be one word without spaces or quotes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelIdentity:
    """
    Where a sentinel listens, and the id by which the others know it.
    """

    address: Address
    id: str


def server_text(config: GroupConfig, address: Address, master: Address | None) -> str:
    """
    The configuration of a master, or of a replica of `master`.
    """
    settings: dict[str, Setting] = {
        **_listening(address),
        "save": '""',
        "appendonly": False,
        "rdb-del-sync-files": True,
        DISKLESS_SYNC: True,
        "repl-diskless-sync-delay": 0,
        "repl-diskless-load": "on-empty-db",
        "repl-ping-replica-period": 1,
        "repl-timeout": 10,
        "enable-debug-command": "local",
    }
    if config.password is not None:
        settings |= {"requirepass": config.password, "masterauth": config.password}
    if master is not None:
        settings["replicaof"] = f"{master.host} {master.port}"
    return _lines(settings | dict(config.server_config))


def sentinel_text(
    config: GroupConfig,
    me: SentinelIdentity,
    *,
    master: Address,
    replicas: Sequence[Address],
) -> str:
    """
    The configuration of a sentinel that knows the master and all replicas from the start.
    """
    name = config.master_name
    settings: dict[str, Setting] = _listening(me.address)
    if config.sentinel_password is not None:
        settings["requirepass"] = config.sentinel_password
    lines = [
        f"sentinel myid {me.id}",
        "sentinel resolve-hostnames no",
        f"sentinel monitor {name} {master.host} {master.port} {_quorum(config)}",
        f"sentinel down-after-milliseconds {name} {_milliseconds(config.down_after)}",
        f"sentinel failover-timeout {name} {_milliseconds(config.failover_timeout)}",
        f"sentinel parallel-syncs {name} {config.parallel_syncs or max(1, config.replicas)}",
    ]
    if config.password is not None:
        lines.append(f"sentinel auth-pass {name} {config.password}")
    if config.sentinel_password is not None:
        lines.append(f"sentinel sentinel-pass {config.sentinel_password}")
    # Without these lines a sentinel may take 10 s to find the replicas.
    lines += [f"sentinel known-replica {name} {host} {port}" for host, port in replicas]
    return _lines(settings) + "".join(f"{line}\n" for line in lines)


def greeting(config: GroupConfig, sentinel: SentinelIdentity, master: Address) -> tuple[str, ...]:
    """
    The command that makes a sentinel known to the one it is sent to.
    """
    fields = (*sentinel.address, sentinel.id, 0, config.master_name, *master, 0)
    return ("PUBLISH", "__sentinel__:hello", ",".join(map(str, fields)))


def tuning(config: GroupConfig) -> tuple[str | int, ...] | None:
    """
    The command that sets a sentinel's own clocks, which no configuration file can hold.
    """
    periods = dict(config.sentinel_debug)
    if config.down_after < 1:
        # It redials once in this period: by default a new master would be down before it is tried.
        periods.setdefault("ping-period", max(1, _milliseconds(config.down_after / 3)))
    words = (word for pair in periods.items() for word in pair)
    return ("SENTINEL", "DEBUG", *words) if periods else None


def diskless_sync(config: GroupConfig) -> str:
    """
    How a master of this group sends its data to a replica: ``yes`` means without a file.
    """
    return _written(config.server_config.get(DISKLESS_SYNC, True))


def _listening(address: Address) -> dict[str, Setting]:
    return {
        "bind": address.host,
        "port": address.port,
        "protected-mode": False,
        "daemonize": False,
    }


def _quorum(config: GroupConfig) -> int:
    return config.quorum or config.sentinels // 2 + 1


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not set(text) & set(" \"'")


def _lines(settings: Mapping[str, Setting]) -> str:
    return "".join(f"{name} {_written(value)}\n" for name, value in settings.items())


def _written(value: Setting) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
