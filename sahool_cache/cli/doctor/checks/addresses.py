"""
Checks of where everybody is announced, and whether that can be reached from here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.address import Address
from sahool_cache.cli.doctor.diagnosis import Check, Finding, Skipped
from sahool_cache.cli.doctor.facts import Facts, Member, is_loopback, listed, rows
from sahool_cache.cli.doctor.questions import KNOWN_REPLICAS, KNOWN_SENTINELS, MASTER

__all__ = ["CHECKS"]


def _reach(facts: Facts) -> Iterator[Finding]:
    lost = [each for each in facts.members if each.out_of_reach or each.address in facts.elsewhere]
    crossed = [each for each in facts.members if each.known_as not in {None, each.address}]
    if not lost and not crossed:
        return
    grave = any(each.role == "master" for each in (*lost, *crossed))
    value = _right_map(facts, (*lost, *crossed))
    yield Finding(
        severity="error" if grave else "warning",
        server=listed((*lost, *crossed)),
        found="seen by the sentinels, and not to be reached from here where it is announced, or "
        "where the address map says"
        if lost
        else "the address map leads to "
        + listed(f"{each.known_as} in place of {each}" for each in crossed),
        why="The client dials what the sentinels announce; from another network (Docker, NAT) that "
        "needs translation",
        mend=f"REDIS_ADDRESS_MAP={value}"
        if value
        else "Take these addresses out of REDIS_ADDRESS_MAP.",
    )


def _right_map(facts: Facts, wrong: tuple[Member, ...]) -> str:
    where = {each.known_as: each.dialled for each in facts.members if each.known_as is not None}
    entries = facts.settings.address_map.texts()
    for each in wrong:
        entries[str(each)] = str(where.get(each.address, "<host:port that reaches it from here>"))
    return ",".join(f"{name}={place}" for name, place in entries.items() if name != place)


def _down(facts: Facts) -> Iterator[Finding]:
    for each in facts.servers:
        if each.silent is None or each.login_refused or each.out_of_reach:
            continue
        hung = each.reached and each.reported != "down"
        yield Finding(
            severity="error" if each.role == "master" else "warning",
            server=str(each),
            found=f"this {each.role} takes connections and does not answer: {each.silent}"
            if hung
            else f"this {each.role} is down, say the sentinels too: {each.silent}",
            why="Nothing can be written until the sentinels have replaced it"
            if each.role == "master"
            else "There is one server less to take over, and it counts for min-replicas-to-write",
            mend="See what holds it up (its CPU, disk and log), and restart it; check REDIS_TLS."
            if hung
            else "Start it. If a replica has gone for good, "
            f"`SENTINEL RESET {facts.settings.master_name}` on one sentinel after another, 30 s "
            "apart.",
        )


def _nobody(facts: Facts) -> Iterator[Finding]:
    if facts.master is None:
        yield Finding(
            severity="error",
            found="no sentinel names a master",
            why="Without one there is nothing to connect to",
            mend="Correct REDIS_SENTINEL_HOST_1 (or REDIS_SENTINELS), REDIS_MASTER_NAME and "
            "REDIS_SENTINEL_PASSWORD, as the findings about the sentinels say.",
        )


def _loopback(facts: Facts) -> Iterator[Finding | Skipped]:
    asked = all(is_loopback(each.dialled.host) for each in facts.voices)
    announced = _announced(facts)
    local = {each for each in announced if is_loopback(each.host)}
    if not local:
        return
    if asked and local == announced:
        yield Skipped(why="everything is on loopback: one host, for development")
        return
    yield Finding(
        severity="error",
        server=listed(sorted(local)),
        found="a loopback address is announced, of a group on several hosts",
        why="It means another machine to each who hears it: replicas and clients dial themselves",
        mend="`sentinel monitor` with the master's address in the network; `replica-announce-ip` "
        "on the servers, `sentinel announce-ip` on the sentinels.",
    )


def _unused(facts: Facts) -> Iterator[Finding]:
    announced = _announced(facts)
    unused = [each for each in facts.settings.address_map if each not in announced]
    if unused:
        yield Finding(
            severity="hint",
            found=f"nobody is announced as {listed(unused)}, which the address map has",
            why="An entry that fits nothing is a slip, or is left from servers that have gone",
            mend="Take it out of REDIS_ADDRESS_MAP, or write the address as the sentinels do.",
        )


def _announced(facts: Facts) -> set[Address]:
    return {address for each in facts.voices for address, _ in rows(each)}


CHECKS = (
    Check(name="master-known", find=_nobody),
    Check(name="address-map", find=_reach, needs=(MASTER,)),
    Check(name="server-down", find=_down, needs=(MASTER,)),
    Check(name="announced-loopback", find=_loopback, needs=(MASTER,)),
    Check(name="address-map-unused", find=_unused, needs=(MASTER, KNOWN_REPLICAS, KNOWN_SENTINELS)),
)
