"""
Checks of what the sentinels say of one another, of the group, and of the servers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from sahool_cache.address import Address
from sahool_cache.cli.doctor.diagnosis import Check, Finding
from sahool_cache.cli.doctor.facts import Facts, Member, listed, rows
from sahool_cache.cli.doctor.questions import (
    KNOWN_REPLICAS,
    KNOWN_SENTINELS,
    MASTER,
    SENTINEL_CONFIG,
    SENTINEL_ID,
)

__all__ = ["CHECKS"]

_SAME = ("quorum", "down-after-milliseconds", "failover-timeout", "parallel-syncs")


def _master(facts: Facts) -> Iterator[Finding]:
    by_master: dict[str, list[Member]] = defaultdict(list)
    for each in facts.voices:
        place = f"{each.view.get('ip')}:{each.view.get('port')}"
        by_master[f"{place} (epoch {each.view.get('config-epoch')})"].append(each)
    if len(by_master) > 1:
        yield Finding(
            severity="error",
            found="the sentinels name different masters: "
            + "; ".join(f"{listed(who)} say {what}" for what, who in by_master.items()),
            why="A failover is under way, or they cannot hear one another",
            mend="Look again in a few seconds. If it stays, let them reach one another and both "
            "servers: the higher epoch spreads by itself.",
        )


def _settings(facts: Facts) -> Iterator[Finding]:
    name = facts.settings.master_name
    for setting in _SAME:
        values = {each: each.view.get(setting, "") for each in facts.voices}
        if len(set(values.values())) > 1:
            yield Finding(
                severity="warning",
                found=f"{setting} differs: " + _each(values),
                why="How a failover goes depends on which sentinel happens to lead it",
                mend=f"`SENTINEL SET {name} {setting} <value>`, the same on every sentinel.",
            )
    for setting in ("resolve-hostnames", "announce-hostnames"):
        told = {each: each.said(SENTINEL_CONFIG, {}).get(setting) for each in facts.voices}
        values = {each: value for each, value in told.items() if value is not None}
        if len(set(values.values())) > 1:
            yield Finding(
                severity="warning",
                found=f"{setting} differs: " + _each(values),
                why="One server is announced under two addresses",
                mend=f"`SENTINEL CONFIG SET {setting} <yes or no>`, the same on every sentinel.",
            )


def _each(values: dict[Member, str]) -> str:
    return ", ".join(f"{value} at {each}" for each, value in values.items())


def _peers(facts: Facts) -> Iterator[Finding]:
    ids = {each.run_id: each for each in facts.voices if each.run_id is not None}
    for each in facts.voices:
        known = {row.get("runid") for row in each.said(KNOWN_SENTINELS, [])}
        strangers = [str(other) for run_id, other in ids.items() if run_id not in known]
        strangers = [other for other in strangers if other != str(each)]
        if strangers:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"it does not know the sentinel {listed(strangers)}",
                why="They do not vote for one another: two halves may each want a failover",
                mend="They meet in the master's channel __sentinel__:hello within 2 s. Let each "
                "reach the master with a user that may publish and subscribe there, and give each "
                "an id of its own (`sentinel myid`).",
            )


def _duplicates(facts: Facts) -> Iterator[Finding]:
    places: dict[str, set[str]] = defaultdict(set)
    ids: dict[Address, set[str]] = defaultdict(set)
    for each in facts.voices:
        for address, row in rows(each):
            if "sentinel" in row.get("flags", ""):
                places[row.get("runid", "")].add(str(address))
                ids[address].add(row.get("runid", ""))
    mend = (
        f"`SENTINEL RESET {facts.settings.master_name}` on one sentinel after another, 30 s apart."
    )
    for run_id, several in places.items():
        if len(several) > 1:
            yield Finding(
                severity="warning",
                server=listed(sorted(several)),
                found=f"one sentinel ({run_id[:8]}) is known under {len(several)} addresses",
                why="Sentinels cannot ask it for its vote where it no longer is",
                mend="Give it one address (`sentinel announce-ip`, `announce-port`); " + mend,
            )
    for address, several in ids.items():
        if len(several) > 1:
            yield Finding(
                severity="warning",
                server=str(address),
                found=f"{len(several)} sentinels are known under one address",
                why="One of them is gone and still counts for the majority",
                mend=mend,
            )


def _sight(facts: Facts) -> Iterator[Finding]:
    """
    Members that answer us, and not a sentinel: mostly a wrong or missing password.
    """
    name = facts.settings.master_name
    for member in (*facts.answering, *facts.voices):
        blind = [
            each
            for each in facts.voices
            if any(_is_blind(row) for address, row in rows(each) if address == member.address)
        ]
        if not blind:
            continue
        sentinel = member.role == "sentinel"
        yield Finding(
            severity="error",
            server=str(member),
            found=f"it answers here, but not the sentinel {listed(blind)}",
            why="It has no vote from that sentinel's point of view"
            if sentinel
            else "A server that too many sentinels take for dead is failed over, or is not chosen",
            mend="`SENTINEL CONFIG SET sentinel-pass <password>`, the same as `requirepass` on all "
            "sentinels; then see that they can reach one another."
            if sentinel
            else f"`SENTINEL SET {name} auth-pass <password>` (and `auth-user`) on that sentinel, "
            "with the password of the servers; then see that it can reach the server, and that its "
            "last save did not fail (MISCONF is no answer to a PING).",
        )


def _is_blind(row: Mapping[str, str]) -> bool:
    # Not while it is disconnected: after a failover a sentinel connects to all servers anew.
    return not {"s_down", "o_down"}.isdisjoint(row.get("flags", "").split(","))


CHECKS = (
    Check(name="sentinel-master", find=_master, needs=(MASTER,)),
    Check(name="sentinel-settings", find=_settings, needs=(MASTER,)),
    Check(name="sentinel-peers", find=_peers, needs=(KNOWN_SENTINELS, SENTINEL_ID)),
    Check(name="sentinel-duplicates", find=_duplicates, needs=(KNOWN_SENTINELS,)),
    Check(name="sentinel-sight", find=_sight, needs=(MASTER, KNOWN_REPLICAS)),
)
