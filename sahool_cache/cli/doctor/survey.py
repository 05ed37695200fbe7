"""
Finds everybody: the sentinels of the settings, those that they name, the servers, and where these
answer if not where they are announced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sahool_cache.address import Address
from sahool_cache.cli.doctor.asking import Asker
from sahool_cache.cli.doctor.facts import Facts, Member, Role
from sahool_cache.cli.doctor.questions import KNOWN_REPLICAS, KNOWN_SENTINELS
from sahool_cache.cli.servers import Servers
from sahool_cache.settings import RedisSettings

__all__ = ["survey"]

_NEAR = 6
"""Ports from the announced one upwards that are tried on the hosts of the sentinels."""
_DOWN = {"s_down", "o_down", "disconnected"}


async def survey(settings: RedisSettings, within: float) -> Facts:
    """
    What there is to know about the group of these settings, after `within` seconds at most.
    """
    patient = settings.model_copy(
        update={
            "socket_timeout": within,
            "socket_connect_timeout": within,
            "sentinel_timeout": within,
        }
    )
    async with Servers(patient) as servers:
        asker = Asker(servers, settings)
        listed: list[tuple[Address, Address, Role]] = [
            (each, each, "sentinel") for each in settings.sentinels
        ]
        first = await asker.look(listed, within * 0.3)
        peers = _peers(first, settings)
        sentinels = _named([*first, *await asker.look(peers, within * 0.15)])
        facts = Facts(settings=settings, sentinels=tuple(sentinels))
        places = _places(facts)
        members = await asker.look(places, within * 0.35)
        facts = replace(facts, servers=tuple(_judged(facts, members)))
        return await _found_elsewhere(asker, facts, within * 0.15)


def _rows(sentinels: Iterable[Member], *, of: str) -> Iterator[tuple[Address, dict[str, Any]]]:
    question = KNOWN_SENTINELS if of == "sentinels" else KNOWN_REPLICAS
    for sentinel in sentinels:
        for row in sentinel.said(question, []):
            address = Address.told(row.get("ip", ""), row.get("port", ""))
            if address is not None:
                yield address, row


def _peers(first: list[Member], settings: RedisSettings) -> list[tuple[Address, Address, Role]]:
    # A sentinel that answered under the address of the settings is known by its id.
    ids = {each.run_id for each in first}
    tried = {each.dialled for each in first}
    found: dict[Address, tuple[Address, Address, Role]] = {}
    for address, row in _rows(first, of="sentinels"):
        dialled = settings.reachable(address)
        if row.get("runid") not in ids and dialled not in tried:
            found[address] = (address, dialled, "sentinel")
    return list(found.values())


def _named(sentinels: list[Member]) -> Iterator[Member]:
    # Each under the address by which the others know it, and once.
    announced = {row.get("runid"): address for address, row in _rows(sentinels, of="sentinels")}
    met: set[str] = set()
    for each in sentinels:
        run_id = each.run_id
        if run_id is not None and run_id in met:
            continue
        met |= {run_id} if run_id is not None else set()
        yield replace(each, address=announced.get(run_id, each.address))


def _places(facts: Facts) -> list[tuple[Address, Address, Role]]:
    views = sorted(facts.voices, key=lambda each: int(each.view.get("config-epoch", 0)))
    if not views:
        return []
    master = Address.told(views[-1].view.get("ip", ""), views[-1].view.get("port", ""))
    found: dict[Address, Role] = {} if master is None else {master: "master"}
    for address, _ in _rows(views, of="replicas"):
        found.setdefault(address, "replica")
    reachable = facts.settings.reachable
    return [(address, reachable(address), role) for address, role in found.items()]


def _judged(facts: Facts, members: list[Member]) -> Iterator[Member]:
    for member in members:
        flags = [
            set(row.get("flags", "").split(","))
            for address, row in _instances(facts.voices)
            if address == member.address
        ]
        yield replace(member, known_as_down=bool(flags) and all(each & _DOWN for each in flags))


def _instances(sentinels: Iterable[Member]) -> Iterator[tuple[Address, dict[str, Any]]]:
    for sentinel in sentinels:
        view = dict(sentinel.view)
        master = Address.told(view.get("ip", ""), view.get("port", ""))
        if master is not None:
            yield master, view
        yield from _rows([sentinel], of="replicas")


async def _found_elsewhere(asker: Asker, facts: Facts, seconds: float) -> Facts:
    """
    The same facts with the servers that answer on a host of the sentinels, known by their run ids.
    """
    lost = [
        each
        for each in facts.servers
        if not (each.silent is None or each.reached or each.known_as_down)
    ]
    if not lost:
        return facts
    run_ids = {row.get("runid"): address for address, row in _instances(facts.voices)}
    hosts = dict.fromkeys(each.dialled.host for each in facts.voices)
    taken = {each.dialled for each in (*facts.servers, *facts.sentinels)}
    ports = dict.fromkeys(each.address.port + n for each in lost for n in range(_NEAR))
    tried = [Address(host, port) for host in hosts for port in ports if port < 65536]
    places: list[tuple[Address, Address, Role]] = [
        (each, each, "replica") for each in tried if each not in taken
    ]
    met = {run_ids.get(each.run_id): each for each in await asker.look(places, seconds)}
    servers = [
        replace(met[each.address], address=each.address, role=each.role)
        if each in lost and each.address in met
        else each
        for each in facts.servers
    ]
    elsewhere = {each.address: met[each.address].dialled for each in lost if each.address in met}
    return replace(facts, servers=tuple(servers), elsewhere=elsewhere)
