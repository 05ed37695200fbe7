"""
Checks of memory: its limit, what happens there, and what may be evicted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding
from sahool_cache.cli.doctor.facts import Facts, Member
from sahool_cache.cli.doctor.questions import INFO

__all__ = ["CHECKS"]

_FULL = 0.9
_FEW_KEYS = 100
_WORTH_A_LOOK = 100 << 20


def _limit(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        limit, installed = each.number("maxmemory"), each.number("total_system_memory")
        if "maxmemory" in each.info and not limit:
            found = "maxmemory is not set"
        elif installed and limit > installed:
            found = f"maxmemory is {_mib(limit)}, and its host has {_mib(installed)}"
        else:
            continue
        wanted = int(installed * 0.6) >> 20 or 1024
        yield Finding(
            severity="warning",
            server=str(each),
            found=found,
            why="It grows until the kernel kills it, in the middle of the highest load",
            mend=f"`CONFIG SET maxmemory {wanted}mb` (60 % of its host's memory leaves room for a "
            "fork; less, if it has a container's limit or company), then `CONFIG REWRITE`; the "
            "same on every server.",
        )


def _near(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        limit, used = each.number("maxmemory"), each.number("used_memory")
        if limit and used > limit * _FULL:
            stuck = each.info.get("maxmemory_policy") == "noeviction"
            other = (
                "`CONFIG SET maxmemory-policy allkeys-lru`, if all of it is a cache."
                if stuck
                else "keep less, with shorter TTLs."
            )
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"{used / limit:.0%} of maxmemory ({_mib(limit)}) is used",
                why="At the limit every write is refused (OOM)"
                if stuck
                else "It evicts keys to make room for others",
                mend=f"`CONFIG SET maxmemory` to more, on every server; or {other}",
            )


def _policy(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        policy, (keys, expiring) = each.info.get("maxmemory_policy", ""), _keys(each)
        if not each.number("maxmemory") or keys < _FEW_KEYS or each.acts_as != "master":
            continue
        if policy.startswith("volatile-") and expiring * 2 < keys:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"maxmemory-policy is {policy}, and {expiring} of {keys} keys have a TTL",
                why="Nothing else can be evicted: when these are gone, writes are refused (OOM)",
                mend="Give cached keys a TTL; or `CONFIG SET maxmemory-policy allkeys-lru`, if all "
                "of it is a cache.",
            )
        elif policy == "noeviction" and expiring == keys:
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"all {keys} keys have a TTL, and maxmemory-policy is noeviction",
                why="A cache that is full refuses writes (OOM), where it could drop what is old",
                mend="`CONFIG SET maxmemory-policy volatile-ttl`, then `CONFIG REWRITE`, on every "
                "server; not if locks or limits of rates are kept in it.",
            )
        elif policy.startswith("allkeys-") and each.number("evicted_keys"):
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"{each.info['evicted_keys']} keys were evicted, by {policy}",
                why="A lock, the counter of its fences, or a rate limit may be among them",
                mend="Keep those in a group of their own with noeviction; for a cache alone, all "
                "is well.",
            )


def _fragmentation(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        used, resident = each.number("used_memory"), each.number("used_memory_rss")
        if used > _WORTH_A_LOOK and resident and resident < used * 0.9:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"{_mib(used - resident)} of its memory are not in RAM",
                why="It swaps: single commands take as long as the disk",
                mend="Give its host more memory, or set maxmemory below what it has.",
            )
        elif used > _WORTH_A_LOOK and resident > used * 1.5:
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"it holds {_mib(resident)} for {_mib(used)} of data",
                why="The rest is lost to fragmentation",
                mend="`CONFIG SET activedefrag yes` where it is built with jemalloc; else restart "
                "it after a failover.",
            )


def _keys(server: Member) -> tuple[int, int]:
    keys = expiring = 0
    for name, value in server.info.items():
        if re.fullmatch(r"db\d+", name) and (found := re.match(r"keys=(\d+),expires=(\d+)", value)):
            keys, expiring = keys + int(found[1]), expiring + int(found[2])
    return keys, expiring


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.0f} MiB"


CHECKS = (
    Check(name="maxmemory", find=_limit, needs=(INFO,)),
    Check(name="memory-used", find=_near, needs=(INFO,)),
    Check(name="eviction", find=_policy, needs=(INFO,)),
    Check(name="fragmentation", find=_fragmentation, needs=(INFO,)),
)
