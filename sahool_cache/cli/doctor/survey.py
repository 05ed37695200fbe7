"""
Finds everybody: the sentinels of the settings, those that they name, the servers, and where these
answer if not where they are announced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sahool_cache.address import Address
from sahool_cache.cli.doctor.asking import Asker, Place
from sahool_cache.cli.doctor.facts import Facts, Member, Reported, Role, is_down, rows
from sahool_cache.cli.servers import Servers
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import GREETING

__all__ = ["survey"]

_NEAR = 6
"""Ports from the announced one upwards that are tried on the hosts of the sentinels."""


async def survey(settings: RedisSettings, within: float) -> Facts:
    """
    What there is to know about the group of these settings, after `within` seconds at most.
    """
    patient = settings.model_copy(
        update={
            "socket_timeout": within,
            # A greeting ends before the look does: it knows better why there is no answer.
            "socket_connect_timeout": within * 0.25,
            "sentinel_timeout": within * 0.2 / GREETING,
        }
    )
    async with Servers(patient) as servers:
        asker = Asker(servers, settings)
        told = [Place(each, each, "sentinel") for each in settings.sentinels]
        sentinels = await asker.look(told, within * 0.3)
        sentinels += await asker.look(_peers(sentinels, settings), within * 0.15)
        facts = Facts(settings=settings, sentinels=tuple(_once(sentinels)))
        found = await asker.look(_servers(facts), within * 0.35)
        facts = _judged(replace(facts, servers=tuple(found)))
        if any(each.out_of_reach for each in facts.members):
            facts = _joined(facts, await asker.look(_nearby(facts), within * 0.15))
        return facts


def _peers(first: list[Member], settings: RedisSettings) -> list[Place]:
    # A sentinel that answered under the address of the settings is known by its id.
    ids = {each.run_id for each in first}
    tried = {each.dialled for each in first}
    found = {}
    for sentinel in first:
        for address, row in rows(sentinel):
            dialled = settings.reachable(address)
            stranger = row.get("runid") not in ids and dialled not in tried
            if _is_sentinel(row) and stranger:
                found[address] = Place(address, dialled, "sentinel")
    return list(found.values())


def _is_sentinel(row: Mapping[str, str]) -> bool:
    return "sentinel" in row.get("flags", "").split(",")


def _once(sentinels: list[Member]) -> Iterator[Member]:
    # Each once, under the address by which the others know it.
    announced = _names(sentinels)
    met = set()
    for each in sentinels:
        run_id = each.run_id
        if run_id is None or run_id not in met:
            met.add(run_id)
            yield replace(each, address=announced.get(run_id, each.address))


def _names(sentinels: Iterable[Member]) -> dict[str | None, Address]:
    """
    Under which address these sentinels know whom, by run id.
    """
    return {row.get("runid"): address for each in sentinels for address, row in rows(each)}


def _servers(facts: Facts) -> list[Place]:
    found: dict[Address, Role] = {}
    newest_first = sorted(facts.voices, key=lambda each: -int(each.view.get("config-epoch", 0)))
    for sentinel in newest_first:
        for address, row in rows(sentinel):
            if not _is_sentinel(row):
                found.setdefault(address, "replica" if found else "master")
    reachable = facts.settings.reachable
    return [Place(address, reachable(address), role) for address, role in found.items()]


def _judged(facts: Facts) -> Facts:
    """
    The same facts with what the sentinels say of each member.
    """
    told = [each for sentinel in facts.voices for each in rows(sentinel)]
    names = _names(facts.voices)

    def judged(member: Member) -> Member:
        seen = [is_down(row) for address, row in told if address == member.address]
        reported: Reported = ("down" if all(seen) else "up") if seen else None
        return replace(member, reported=reported, known_as=names.get(member.run_id))

    return replace(
        facts,
        servers=tuple(map(judged, facts.servers)),
        sentinels=tuple(map(judged, facts.sentinels)),
    )


def _nearby(facts: Facts) -> list[Place]:
    # Where those that are out of reach may be: Docker and NAT mostly change the host, and the port
    # by a little.
    taken = {each.dialled for each in facts.members if each.silent is None}
    hosts = dict.fromkeys(each.dialled.host for each in facts.voices)
    found = {}
    for lost in (each for each in facts.members if each.out_of_reach):
        role: Role = "sentinel" if lost.role == "sentinel" else "replica"
        for host in hosts:
            for port in range(lost.address.port, min(lost.address.port + _NEAR, 65536)):
                place = Address(host, port)
                if place not in taken:
                    found[place] = Place(place, place, role)
    return list(found.values())


def _joined(facts: Facts, nearby: list[Member]) -> Facts:
    names = _names(facts.voices)
    met = {names.get(each.run_id): each for each in reversed(nearby) if each.silent is None}
    elsewhere = {
        each.address: met[each.address].dialled
        for each in facts.members
        if each.out_of_reach and each.address in met
    }

    def joined(member: Member) -> Member:
        if member.address not in elsewhere:
            return member
        found = met[member.address]
        return replace(
            found,
            address=member.address,
            role=member.role,
            reported=member.reported,
            known_as=member.address,
        )

    return replace(
        facts,
        servers=tuple(map(joined, facts.servers)),
        sentinels=tuple(_once(list(map(joined, facts.sentinels)))),
        elsewhere=elsewhere,
    )
