"""
Checks of where everybody is announced, and whether that can be reached from here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.address import Address
from sahool_cache.cli.doctor.diagnosis import Check, Finding, Skipped
from sahool_cache.cli.doctor.facts import Facts, is_loopback, listed
from sahool_cache.cli.doctor.questions import KNOWN_REPLICAS, KNOWN_SENTINELS, MASTER

__all__ = ["CHECKS"]


def _reach(facts: Facts) -> Iterator[Finding]:
    lost = [
        each
        for each in facts.servers
        if each.address in facts.elsewhere
        or not (each.silent is None or each.reached or each.known_as_down)
    ]
    if not lost:
        return
    master = any(each.role == "master" for each in lost)
    entries = facts.settings.address_map.texts()
    for each in lost:
        where = facts.elsewhere.get(each.address)
        entries[str(each)] = str(where) if where else "<host:port that reaches it from here>"
        if where == each.address:
            del entries[str(each)]
    value = ",".join(f"{announced}={where}" for announced, where in entries.items())
    yield Finding(
        severity="error" if master else "warning",
        server=listed(lost),
        found="the sentinels see it and it cannot be reached from here, at the announced address "
        "or where the address map says",
        why="The client dials what the sentinels announce; from another network (Docker, NAT) that "
        "needs translation",
        mend=f"REDIS_ADDRESS_MAP={value}",
    )


def _down(facts: Facts) -> Iterator[Finding]:
    for each in facts.servers:
        if each.silent is None or each.login_refused or not (each.known_as_down or each.reached):
            continue
        hung = each.reached and not each.known_as_down
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
    asked = {each.dialled.host for each in facts.voices}
    local = [each for each in (*facts.servers, *facts.sentinels) if is_loopback(each.address.host)]
    if not local:
        return
    if asked and all(map(is_loopback, asked)):
        yield Skipped(why="the sentinels were asked on loopback, so that may be announced as well")
        return
    yield Finding(
        severity="error",
        server=listed(local),
        found="a loopback address is announced, by sentinels on another host",
        why="It means another machine to each who hears it: replicas and clients dial themselves",
        mend="`sentinel monitor` with the master's address in the network; `replica-announce-ip` "
        "on the servers, `sentinel announce-ip` on the sentinels.",
    )


def _unused(facts: Facts) -> Iterator[Finding]:
    announced = {each.address for each in (*facts.servers, *facts.sentinels)}
    announced |= {
        address
        for each in facts.voices
        for row in each.said(KNOWN_SENTINELS, [])
        if (address := Address.told(row.get("ip", ""), row.get("port", ""))) is not None
    }
    unused = [each for each in facts.settings.address_map if each not in announced]
    if unused:
        yield Finding(
            severity="hint",
            found=f"nobody is announced as {listed(unused)}, which the address map has",
            why="An entry that fits nothing is a slip, or is left from servers that have gone",
            mend="Take it out of REDIS_ADDRESS_MAP, or write the address as the sentinels do.",
        )


CHECKS = (
    Check(name="master-known", find=_nobody),
    Check(name="address-map", find=_reach, needs=(MASTER,)),
    Check(name="server-down", find=_down, needs=(MASTER,)),
    Check(name="announced-loopback", find=_loopback, needs=(MASTER,)),
    Check(name="address-map-unused", find=_unused, needs=(MASTER, KNOWN_REPLICAS, KNOWN_SENTINELS)),
)
