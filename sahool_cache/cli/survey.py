"""
What everybody in a group says at one moment: the client, each sentinel, each server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from redis.exceptions import NoPermissionError

from sahool_cache.address import Address
from sahool_cache.cli.health import settled_health
from sahool_cache.cli.servers import Servers, pairs, reason
from sahool_cache.client import RedisClient
from sahool_cache.routing.discovery import SentinelView, questions, read_view
from sahool_cache.routing.topology import Topology
from sahool_cache.settings import RedisSettings

__all__ = ["SentinelWord", "ServerWord", "Survey", "read_sections", "take_survey"]

Value = int | float | str
Sections = Mapping[str, Mapping[str, Value]]

_NUMBER = re.compile(r"-?\d{1,19}(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelWord:
    """
    What a sentinel says; its `view` has announced addresses, and is None where it says nothing,
    `why` then.

    `usable` is its reply to CKQUORUM, and `quorate` False if that says no; `master_for` are the
    seconds since it took the master for one.
    """

    address: Address
    why: str | None = None
    view: SentinelView | None = None
    usable: str | None = None
    quorate: bool = True
    master_for: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWord:
    """
    What a server says: the sections of its INFO, none where it does not tell them, `why` then.
    """

    address: Address
    announced: Address
    answers: bool
    why: str | None
    sections: Sections

    def field(self, section: str, name: str) -> Any:
        """
        A field of INFO, None where there is none.
        """
        return self.sections.get(section, {}).get(name)

    @property
    def role(self) -> str | None:
        """
        Its own word.
        """
        said = self.field("replication", "role")
        return "replica" if said == "slave" else said

    @property
    def follows(self) -> Address | None:
        """
        The master that a replica says it follows, as announced.
        """
        host, port = (self.field("replication", f"master_{part}") for part in ("host", "port"))
        return None if host is None else Address.told(str(host), str(port))

    @property
    def offset(self) -> int | None:
        """
        How much of the replication stream it has.
        """
        name = "slave_repl_offset" if self.role == "replica" else "master_repl_offset"
        found = self.field("replication", name)
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """
    `health` is `RedisClient.health_check()`, `topology` the client's; `servers` has the master
    first, `sentinels` the configured ones.
    """

    settings: RedisSettings
    health: dict[str, Any]
    topology: Topology
    sentinels: tuple[SentinelWord, ...]
    servers: tuple[ServerWord, ...]

    def heading(self) -> dict[str, Any]:
        """
        What the JSON documents of all looks at the group begin with.
        """
        return {
            "status": self.health["status"],
            "why": self.health.get("why"),
            "master_name": self.settings.master_name,
            "epoch": self.epoch,
            "provisional": self.topology.provisional,
        }

    @property
    def unexplained(self) -> str | None:
        """
        Why the master is not to be had, where what sentinels and servers say does not tell.
        """
        reasons = [*(each.why for each in self.sentinels), *(each.why for each in self.servers)]
        return self.health.get("why") if all(each is None for each in reasons) else None

    @property
    def newest(self) -> SentinelView | None:
        """
        The view of the highest config-epoch.
        """
        views = [each.view for each in self.sentinels if each.view is not None]
        return max(views, key=lambda view: view.epoch, default=None)

    @property
    def master(self) -> Address | None:
        """
        Whom the client follows, or else whom the sentinels name.
        """
        if self.topology.master is not None or self.newest is None:
            return self.topology.master
        return self.settings.reachable(self.newest.master)

    @property
    def epoch(self) -> int:
        """
        The highest config-epoch: how often the group has failed over.
        """
        return max(self.topology.epoch, self.newest.epoch if self.newest is not None else 0)

    @property
    def master_for(self) -> float | None:
        """
        Seconds for which the master has been it, or at least: a sentinel counts from its start.
        """
        known = [
            each.master_for
            for each in self.sentinels
            if each.view is not None and each.view.epoch == self.epoch
        ]
        return max((each for each in known if each is not None), default=None)


async def take_survey(settings: RedisSettings, within: float) -> Survey:
    """
    Asks everybody; a group that is not well gets `within` seconds to become so, and those who do
    not answer as much again.
    """
    async with aclosing(RedisClient(settings)) as redis:  # opened by the first look
        found = await settled_health(redis, within)
        topology = redis.topology
    async with Servers(settings.model_copy(update={"socket_timeout": within})) as servers:
        sentinels = await _ask_sentinels(servers, settings, topology.sentinels)
        survey = Survey(
            settings=settings, health=found, topology=topology, sentinels=sentinels, servers=()
        )
        announced = _announced(survey)
        told = await servers.ask_each(announced, ("INFO",))
    words = (_server(each, announced[each], answer) for each, answer in told.items())
    return replace(survey, servers=tuple(words))


def read_sections(reply: str) -> Sections:
    """
    An INFO reply by section, in lower case; numbers are numbers.
    """
    sections: dict[str, dict[str, Value]] = {}
    fields: dict[str, Value] = {}
    for line in reply.splitlines():
        if line.startswith("#"):
            fields = sections.setdefault(line.lstrip("# ").lower(), {})
        name, colon, value = line.partition(":")
        if colon:
            fields[name] = _value(value)
    return sections


def _value(text: str) -> Value:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


async def _ask_sentinels(
    servers: Servers, settings: RedisSettings, known: Sequence[Address]
) -> tuple[SentinelWord, ...]:
    name = settings.master_name
    asked = (*questions(name), ("SENTINEL", "CKQUORUM", name))
    words: dict[Address, SentinelWord] = {}
    ids: set[str] = set()
    new = dict.fromkeys((*settings.sentinels, *known))
    while new:  # until nobody names another one
        for address, answer in (await servers.ask_each_sentinel(new, *asked)).items():
            word = _sentinel(address, answer, name)
            words[address] = word
            ids |= {word.view.run_id} if word.view is not None else set()
        peers = [each.view.peers for each in words.values() if each.view is not None]
        named = {run_id: address for each in peers for run_id, address in each.items()}
        others = (settings.reachable(at) for run_id, at in named.items() if run_id not in ids)
        new = dict.fromkeys(each for each in others if each not in words)
    return tuple(words.values())


def _sentinel(address: Address, answer: list[Any] | str, name: str) -> SentinelWord:
    if isinstance(answer, str):
        return SentinelWord(address=address, why=reason(answer))
    *replies, usable = answer
    try:
        view = read_view(address, name, replies, lambda announced: announced)
    except Exception as error:  # noqa: BLE001  # an error reply, or one of another shape
        return SentinelWord(address=address, why=str(error) or type(error).__name__)
    since = str(pairs(replies[2]).get("role-reported-time", ""))
    return SentinelWord(
        address=address,
        view=view,
        usable=str(usable),
        quorate=not isinstance(usable, Exception) or isinstance(usable, NoPermissionError),
        master_for=int(since) / 1000 if since.isdecimal() else None,
    )


def _announced(survey: Survey) -> dict[Address, Address]:
    """
    Every server by the address that is dialled, with the one that it is announced under.
    """
    view, topology, reachable = survey.newest, survey.topology, survey.settings.reachable
    by_sentinels = () if view is None else (view.master, *view.members)
    announced = {reachable(each): each for each in by_sentinels}
    mapped = {dialled: each for each, dialled in survey.settings.address_map.items()}
    members = (survey.master, topology.master, *topology.replicas, *announced)
    return {
        each: announced.get(each) or mapped.get(each, each) for each in members if each is not None
    }


def _server(address: Address, announced: Address, answer: list[Any] | str) -> ServerWord:
    said = answer if isinstance(answer, str) else answer[0]
    told = isinstance(answer, list) and not isinstance(said, Exception)
    return ServerWord(
        address=address,
        announced=announced,
        answers=isinstance(answer, list),
        why=None if told else reason(str(said)),
        sections=read_sections(str(said)) if told else {},
    )
