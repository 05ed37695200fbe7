"""
What happened, as frozen facts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sahool_cache.address import Address

__all__ = [
    "BreakerChanged",
    "CertificatesRefused",
    "CredentialsRefused",
    "CredentialsRenewed",
    "Event",
    "FenceLifted",
    "FenceRaised",
    "LaneTiming",
    "MasterChanged",
    "NearCacheFlushed",
    "NodeDown",
    "NodeQuiet",
    "NodeUp",
    "RightMissing",
    "RotationChanged",
    "SentinelDown",
    "SentinelSaid",
    "SentinelUp",
    "SlowCommand",
    "TopologyConfirmed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One fact. `at` is the event loop's clock in seconds.
    """

    at: float

    def __str__(self) -> str:
        facts = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "at"]
        return " ".join([type(self).__name__, *facts])


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterChanged(Event):
    """
    Calls go to another master from now on. `outage` is the seconds since the old one was last
    able to take a command, or None where there was no pause (or no old master).
    """

    old: Address | None
    new: Address
    epoch: int
    provisional: bool
    outage: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyConfirmed(Event):
    """
    A config-epoch confirmed the master that was followed early.
    """

    master: Address
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRaised(Event):
    """
    New commands to the master are held: a failover is about to replace it.
    """

    master: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceLifted(Event):
    """
    Held commands flow again.
    """

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUp(Event):
    """
    A server can be used.
    """

    node: Address
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDown(Event):
    """
    A server cannot be used.
    """

    node: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuiet(Event):
    """
    A server owes replies and sends nothing: it is suspect.
    """

    node: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationChanged(Event):
    """
    Other replicas than before are fit to be read.
    """

    in_rotation: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelUp(Event):
    """
    A sentinel answers and is listened to.
    """

    sentinel: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelDown(Event):
    """
    A sentinel does not answer.
    """

    sentinel: Address
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelSaid(Event):
    """
    A sentinel announced that a failover is near, or how far it has come.
    """

    event: str
    node: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """
    A node's circuit breaker is now ``closed``, ``open`` or ``half_open``.
    """

    node: Address
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RightMissing(Event):
    """
    An optional right is missing in the server's ACL; `costs` is the feature that rests on it.
    """

    right: str
    costs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsRenewed(Event):
    """
    Live connections have logged in again `on` ``data`` servers, or on sentinels (``sentinel``).
    """

    on: str
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsRefused(Event):
    """
    New credentials could not be had, or live connections could not log in with them: these stay
    as they are, and it is tried again.
    """

    on: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesRefused(Event):
    """
    The TLS files have changed and cannot be used: what was read before goes on.
    """

    on: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCommand(Event):
    """
    A call took longer than `slow_threshold`, all waiting and repeating included; `waited` of
    these seconds in line for a failover.
    """

    command: str
    seconds: float
    waited: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTiming(Event):
    """
    A server's round trip in seconds, and the replies that it owes; noted every second, by the
    flight recorder only.
    """

    node: Address
    rtt: float | None
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCacheFlushed(Event):
    """
    The near cache has forgotten the `entries` that it had of that server, and begins anew.
    """

    node: Address
    why: str
    entries: int
