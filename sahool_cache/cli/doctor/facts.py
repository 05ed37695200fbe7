"""
What the servers, the sentinels and the settings say, as frozen values: all that a check sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sahool_cache.address import Address
from sahool_cache.cli.doctor.questions import (
    CONFIG,
    INFO,
    KNOWN_REPLICAS,
    KNOWN_SENTINELS,
    MASTER,
    SENTINEL_ID,
    Question,
)
from sahool_cache.settings import RedisSettings

__all__ = [
    "Clock",
    "Facts",
    "Member",
    "Reported",
    "Role",
    "is_down",
    "is_loopback",
    "listed",
    "majority",
    "rows",
]

Role = Literal["master", "replica", "sentinel"]
Reported = Literal["up", "down"] | None
_DEAD = {"s_down", "o_down", "disconnected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """
    By how many seconds a server's clock is ahead of this host's, give or take `within`.
    """

    ahead: float
    within: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """
    One server or sentinel: where it is announced, where it was dialled, and what it said.

    `silent` says why it gave no answer, `reached` whether it took a connection at least. The
    sentinels report it as up or down, or not at all; `known_as` is where they know that which
    answered.
    """

    address: Address
    dialled: Address
    role: Role
    silent: str | None = None
    login_refused: bool = False
    reached: bool = True
    reported: Reported = None
    known_as: Address | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    clock: Clock | None = None

    def __str__(self) -> str:
        return str(self.address)

    @property
    def info(self) -> Mapping[str, str]:
        """
        INFO, of a server; empty where it was refused.
        """
        told: Mapping[str, str] = self.said(INFO, {})
        return told

    @property
    def config(self) -> Mapping[str, str]:
        """
        CONFIG GET, of a server; empty where it was refused. Passwords are digests.
        """
        told: Mapping[str, str] = self.said(CONFIG, {})
        return told

    @property
    def view(self) -> Mapping[str, str]:
        """
        SENTINEL MASTER, of a sentinel; empty where it was refused.
        """
        told: Mapping[str, str] = self.said(MASTER, {})
        return told

    @property
    def run_id(self) -> str | None:
        """
        The name that it gave itself when it started: the same wherever it is reached.
        """
        if self.role == "sentinel":
            told: str | None = self.said(SENTINEL_ID, None)
            return told
        return self.info.get("run_id")

    @property
    def out_of_reach(self) -> bool:
        """
        Whether it is the way from here that is missing: a sentinel sees it.
        """
        return self.silent is not None and not self.reached and self.reported == "up"

    @property
    def acts_as(self) -> str:
        """
        The role that a server reports; the sentinels may think otherwise.
        """
        role = self.info.get("role", "")
        return role if role in {"", "master"} else "replica"

    def said(self, question: Question, otherwise: Any) -> Any:
        """
        The answer to a question, or something else where there is none.
        """
        return self.told.get(question.asked, otherwise)

    def number(self, name: str) -> float:
        """
        A field of INFO, or a setting, as a number; 0 where there is none.
        """
        try:
            return float(self.info.get(name) or self.config.get(name) or 0)
        except ValueError:
            return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    Everything that was found out; `elsewhere` is where a server answers that its announced address
    does not reach, known by its run id.
    """

    settings: RedisSettings
    servers: tuple[Member, ...] = ()
    sentinels: tuple[Member, ...] = ()
    elsewhere: Mapping[Address, Address] = field(default_factory=dict)

    @property
    def answering(self) -> tuple[Member, ...]:
        """
        The servers that answered.
        """
        return tuple(each for each in self.servers if each.silent is None)

    @property
    def voices(self) -> tuple[Member, ...]:
        """
        The sentinels that answered, and know the group.
        """
        return tuple(each for each in self.sentinels if each.silent is None and each.view)

    @property
    def master(self) -> Member | None:
        """
        The master that the newest sentinel names.
        """
        return next((each for each in self.servers if each.role == "master"), None)

    @property
    def replicas(self) -> tuple[Member, ...]:
        """
        The replicas that the sentinels name, dead ones too.
        """
        return tuple(each for each in self.servers if each.role == "replica")

    @property
    def members(self) -> tuple[Member, ...]:
        """
        Everybody.
        """
        return (*self.servers, *self.sentinels)

    @property
    def usable(self) -> bool:
        """
        Whether a client with these settings can use the master.
        """
        master = self.master
        return (
            master is not None
            and master.silent is None
            and master.acts_as in {"", "master"}
            and master.address not in self.elsewhere
        )

    @property
    def sentinel_count(self) -> int:
        """
        How many sentinels count for a majority, dead ones too.
        """
        counted = [int(each.view.get("num-other-sentinels", 0)) + 1 for each in self.voices]
        return max([len(self.voices), *counted])

    @property
    def down_after(self) -> float | None:
        """
        Seconds of silence after which the sentinels give a master up, the longest of them.
        """
        told = [float(each.view.get("down-after-milliseconds", 0)) for each in self.voices]
        return max(told) / 1000 if told else None

    def configured(self) -> Iterator[Member]:
        """
        The servers whose settings are known.
        """
        return (each for each in self.answering if each.config)


def rows(sentinel: Member) -> Iterator[tuple[Address, Mapping[str, str]]]:
    """
    Everybody that a sentinel lists, with what it says: the master, the replicas, other sentinels.
    """
    replicas = sentinel.said(KNOWN_REPLICAS, [])
    for row in (sentinel.view, *replicas, *sentinel.said(KNOWN_SENTINELS, [])):
        address = Address.told(row.get("ip", ""), row.get("port", ""))
        if address is not None:
            yield address, row


def is_down(row: Mapping[str, str]) -> bool:
    """
    Whether a sentinel takes that one for dead, or has no connection to it.
    """
    return not _DEAD.isdisjoint(row.get("flags", "").split(","))


def majority(count: int) -> int:
    """
    How many of so many sentinels have to agree on who leads a failover.
    """
    return count // 2 + 1


def is_loopback(host: str) -> bool:
    """
    Whether a host names the machine that asks.
    """
    return host.startswith("127.") or host in {"::1", "localhost"}


def listed(things: Iterable[object]) -> str:
    """
    Several things in one phrase, each once.
    """
    return ", ".join(dict.fromkeys(map(str, things)))
