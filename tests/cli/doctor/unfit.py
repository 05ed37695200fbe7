"""
What a client may be told that does not fit the group, and what no server here tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sahool_cache.address import Address
from sahool_cache.cli.doctor.facts import Clock, Facts, Member
from sahool_cache.cli.doctor.questions import (
    CONFIG,
    INFO,
    KNOWN_SENTINELS,
    MASTER,
    SENTINEL_INFO,
    SLOWLOG,
)

__all__ = ["SETTINGS", "TOLD", "Change", "peers", "sentinel", "server"]

SETTINGS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("command-timeout", {"command_timeout": 5}, "warning", "command_timeout is 5 s"),
    ("client-timeouts", {"socket_timeout": 20}, "hint", "socket_timeout (20 s)"),
    ("client-timeouts", {"slow_threshold": 10}, "hint", "slow_threshold (10 s)"),
    ("enough-replicas", {"durability": 3}, "error", "durability is 3"),
    ("maxclients", {"max_connections": 5001}, "warning", "may open 5001"),
    ("address-map-unused", {"address_map": {"10.9.9.9:1": "10.9.9.8:1"}}, "hint", "10.9.9.9:1"),
    ("sentinel-group", {"master_name": "nobody"}, "error", "'nobody'"),
    ("master-known", {"master_name": "nobody"}, "error", "no sentinel names a master"),
    ("login", {"password": "wrong"}, "error", "check the settings `username` and `password`"),
    ("sentinel-down", {"sentinel_password": "wrong"}, "error", "login refused"),
)


Change = Callable[[Facts], Facts]


def changed(member: Member, answers: Mapping[str, Any], **fields: Any) -> Member:
    """
    The member with other fields in its answers: question -> field -> value.
    """
    told = dict(member.told)
    for question, values in answers.items():
        told[question] = {**told[question], **values} if isinstance(values, dict) else values
    return replace(member, told=told, **fields)


def server(role: str, answers: Mapping[str, Any] | None = None, **fields: Any) -> Change:
    """
    One server of that role is otherwise.
    """

    def change(facts: Facts) -> Facts:
        chosen = next(each for each in facts.servers if each.role == role)
        servers = [
            changed(each, answers or {}, **fields) if each is chosen else each
            for each in facts.servers
        ]
        return replace(facts, servers=tuple(servers))

    return change


def sentinel(answers: Mapping[str, Any]) -> Change:
    """
    The first sentinel is otherwise.
    """

    def change(facts: Facts) -> Facts:
        first, *others = facts.sentinels
        return replace(facts, sentinels=(changed(first, answers), *others))

    return change


def on_host(host: str, *, dialled: str) -> Change:
    """
    The sentinels are announced on that host, and were reached at another.
    """

    def change(facts: Facts) -> Facts:
        moved = [
            replace(
                each,
                address=Address(host, each.address.port),
                dialled=Address(dialled, each.address.port),
            )
            for each in facts.sentinels
        ]
        return replace(facts, sentinels=tuple(moved))

    return change


def many(count: int) -> Change:
    """
    Every sentinel counts so many.
    """

    def change(facts: Facts) -> Facts:
        answers = {MASTER.asked: {"num-other-sentinels": str(count - 1)}}
        return replace(facts, sentinels=tuple(changed(each, answers) for each in facts.sentinels))

    return change


def peers(change_rows: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Change:
    """
    The first sentinel lists other sentinels.
    """

    def change(facts: Facts) -> Facts:
        rows = facts.sentinels[0].said(KNOWN_SENTINELS, [])
        return sentinel({KNOWN_SENTINELS.asked: change_rows(rows)})(facts)

    return change


def moved(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows, {**rows[0], "port": "1"}]


def elsewhere(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**rows[0], "ip": "10.0.0.1"}, *rows[1:]]


def doubled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows, {**rows[0], "runid": "f" * 40}]


SLOW = [(2.6, "KEYS")]
BIG = {"used_memory": str(1 << 30)}

TOLD: tuple[tuple[str, Change, str, str], ...] = (
    ("sentinel-tilt", sentinel({SENTINEL_INFO.asked: {"sentinel_tilt": "1"}}), "error", "TILT"),
    ("sentinel-count", many(4), "warning", "an even number"),
    ("sentinel-hosts", on_host("10.0.0.1", dialled="10.0.0.1"), "hint", "10.0.0.1"),
    ("announced-loopback", on_host("127.0.0.1", dialled="10.0.0.1"), "error", "loopback"),
    ("announced-loopback", peers(elsewhere), "error", "several hosts"),
    ("sentinel-master", sentinel({MASTER.asked: {"config-epoch": "9"}}), "error", "(epoch 9)"),
    ("sentinel-peers", peers(lambda rows: rows[1:]), "warning", "does not know"),
    ("sentinel-duplicates", peers(moved), "warning", "under 2 addresses"),
    ("sentinel-duplicates", peers(doubled), "warning", "2 sentinels are known under one"),
    ("sentinel-sight", sentinel({MASTER.asked: {"flags": "s_down,master"}}), "error", "not the"),
    ("role", server("replica", {INFO.asked: {"role": "master"}}), "error", "acts as a master"),
    (
        "replica-link",
        server(
            "replica",
            {INFO.asked: {"master_link_status": "down", "master_sync_in_progress": "1"}},
        ),
        "warning",
        "being synced",
    ),
    (
        "replica-lag",
        server("master", {INFO.asked: {"master_repl_offset": str(1 << 40)}}),
        "warning",
        "MiB behind the master",
    ),
    (
        "replica-lag",
        server("replica", {INFO.asked: {"master_last_io_seconds_ago": "30"}}),
        "warning",
        "heard nothing from the master for 30 s",
    ),
    (
        "repl-backlog",
        server("replica", {INFO.asked: {"instantaneous_input_repl_kbps": "1024.5"}}),
        "hint",
        "holds 10 s of the writes",
    ),
    (
        "slow-fork",
        server("master", {INFO.asked: {"latest_fork_usec": "2600000"}}),
        "warning",
        "2.6",
    ),
    ("slow-commands", server("master", {SLOWLOG.asked: SLOW}), "warning", "KEYS held everybody up"),
    ("maxclients", server("master", {INFO.asked: {"rejected_connections": "3"}}), "hint", "3"),
    (
        "eviction",
        server(
            "master",
            {
                INFO.asked: {
                    "db0": "keys=120,expires=3,avg_ttl=9",
                    "evicted_keys": "7",
                    "maxmemory_policy": "allkeys-lru",
                }
            },
        ),
        "hint",
        "7 keys were evicted, by allkeys-lru",
    ),
    ("clock", server("replica", clock=Clock(ahead=-3.0, within=0.1)), "warning", "3.0 s behind"),
    ("old-version", server("replica", {INFO.asked: {"valkey_version": "6.0.1"}}), "error", "6.0.1"),
    (
        "versions-differ",
        server("master", {INFO.asked: {"valkey_version": "99.0.0"}}),
        "error",
        "older",
    ),
    (
        "versions-differ",
        server("replica", {INFO.asked: {"valkey_version": "99.0.0"}}),
        "warning",
        "99",
    ),
    ("plain-port", server("master", {CONFIG.asked: {"tls-port": "6390"}}), "warning", "6390"),
    (
        "fragmentation",
        server("master", {INFO.asked: {**BIG, "used_memory_rss": str(1 << 31)}}),
        "hint",
        "holds 2048 MiB for 1024 MiB",
    ),
    (
        "fragmentation",
        server("master", {INFO.asked: {**BIG, "used_memory_rss": str(1 << 29)}}),
        "warning",
        "512 MiB of its memory are not in RAM",
    ),
    (
        "address-map",
        server("replica", silent="no route", reached=False, reported="up"),
        "warning",
        "not to be reached from here",
    ),
)
