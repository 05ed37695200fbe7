"""
Checks of the servers side by side: versions, clocks, settings that must not differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding, Skipped
from sahool_cache.cli.doctor.facts import Facts, Member, listed
from sahool_cache.cli.doctor.questions import CONFIG, INFO, SENTINEL_INFO, TIME

__all__ = ["CHECKS"]

_SKEW = 0.5
_SAME = (
    *("maxmemory", "maxmemory-policy", "appendonly", "save", "databases", "maxclients"),
    *("min-replicas-to-write", "min-replicas-max-lag", "repl-backlog-size", "timeout"),
    *("requirepass", "replica-read-only"),
)

Version = tuple[int, ...]


def _differ(facts: Facts) -> Iterator[Finding]:
    for setting in _SAME:
        by_value: dict[str, list[Member]] = defaultdict(list)
        for each in facts.configured():
            if setting in each.config:
                by_value[each.config[setting]].append(each)
        if len(by_value) > 1:
            secret = setting == "requirepass"
            told = (
                f"{'one of its own' if secret and value else value or 'empty'} at {listed(who)}"
                for value, who in by_value.items()
            )
            yield Finding(
                severity="warning",
                found=f"{setting} differs: {'; '.join(told)}",
                why="Each server may be the master tomorrow, and then behaves otherwise",
                mend=f"`CONFIG SET {setting} <value>`, the same on every server, then "
                "`CONFIG REWRITE`.",
            )


def _versions(facts: Facts) -> Iterator[Finding]:
    for members in (facts.answering, tuple(x for x in facts.sentinels if x.silent is None)):
        by_version: dict[str, list[Member]] = defaultdict(list)
        for each in members:
            if product(each):
                by_version[product(each)].append(each)
        if len(by_version) > 1:
            yield Finding(
                severity="warning",
                found="versions differ: "
                + "; ".join(f"{version} at {listed(who)}" for version, who in by_version.items()),
                why="Well for the hours of an upgrade; what a server can do changes in a failover",
                mend="Upgrade the others as well: replicas first, the master last, after a "
                "failover.",
            )
    master = facts.master
    for each in facts.answering:
        if master is not None and _is_older(each, master):
            yield Finding(
                severity="error",
                server=str(each),
                found=f"this replica is older ({product(each)}) than its master "
                f"({product(master)})",
                why="It may not be able to read the master's data, and then never syncs again",
                mend="Upgrade it.",
            )


def _old(facts: Facts) -> Iterator[Finding]:
    for each in (*facts.answering, *facts.voices):
        told = version(each)
        if not told:
            continue
        if told < (6, 2):
            yield Finding(
                severity="error",
                server=str(each),
                found=f"{product(each)} is older than 6.2",
                why="The client is neither made for it nor tested with it",
                mend="Upgrade it to Redis 8 or Valkey 9: replicas first, the master last.",
            )
        elif told < (7, 2):
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"{product(each)} gets no more corrections from its project",
                why="Security holes stay open, unless a distribution closes them",
                mend="Upgrade it to Redis 8 or Valkey 9: replicas first, the master last.",
            )


def _is_older(one: Member, other: Member) -> bool:
    same = product(one).split()[:1] == product(other).split()[:1]
    return same and version(one) < version(other)


def product(member: Member) -> str:
    """
    The name and version of a server, as in "valkey 9.0.1"; empty where it does not say.
    """
    info = member.said(SENTINEL_INFO if member.role == "sentinel" else INFO, {})
    if "valkey_version" in info:
        return f"valkey {info['valkey_version']}"
    return f"redis {info['redis_version']}" if "redis_version" in info else ""


def version(member: Member) -> Version:
    """
    The version as numbers: (9, 0, 1).
    """
    _, _, told = product(member).partition(" ")
    return tuple(int(part) for part in told.split(".") if part.isdecimal())


def _clocks(facts: Facts) -> Iterator[Finding | Skipped]:
    answering = [each for each in facts.members if each.silent is None]
    mute = [each for each in answering if each.clock is None]
    if mute:
        yield Skipped(
            why=f"the time is not told; it needs {TIME.right}, for a sentinel Redis 7 (at "
            f"{listed(mute)})"
        )
    for each in answering:
        if each.clock is None:
            continue
        ahead, within = each.clock.ahead, each.clock.within
        if abs(ahead) - within > _SKEW:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} "
                f"this host's (give or take {within:.1f} s)",
                why="TTLs, rate limits and the freshness of cached results change in a failover by "
                "as much",
                mend="Run NTP (chrony) on its host and on this one.",
            )


def _plain_port(facts: Facts) -> Iterator[Finding]:
    for each in facts.configured():
        encrypted, plain = each.config.get("tls-port", "0"), each.config.get("port", "0")
        if encrypted != "0" and plain != "0":
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"beside TLS ({encrypted}) it listens without ({plain})",
                why="Whoever is led to that port sends the password and the data in the clear",
                mend="`CONFIG SET port 0`, then `CONFIG REWRITE`, once replicas and sentinels use "
                "TLS (`tls-replication yes`).",
            )


CHECKS = (
    Check(name="settings-differ", find=_differ, needs=(CONFIG,)),
    Check(name="versions-differ", find=_versions, needs=(INFO,)),
    Check(name="old-version", find=_old, needs=(INFO,)),
    Check(name="clock", find=_clocks),
    Check(name="plain-port", find=_plain_port, needs=(CONFIG,)),
)
