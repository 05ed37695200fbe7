"""
Faults of a real group, each with the check that finds it and what undoes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.cli.doctor.groups import PASSWORD

__all__ = ["FAULTS", "Fault", "Who"]

Who = Literal["master", "replica", "every replica", "sentinel"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    What is sent to whom, what undoes it and its cure, and the check that finds it. `cured` is
    whether what the doctor says to send can be sent as it stands.
    """

    check: str
    who: Who
    sent: tuple[tuple[str | int, ...], ...]
    undone: tuple[tuple[str | int, ...], ...]
    words: str
    severity: str = "warning"
    cured: bool = True


def setting(
    check: str, who: Who, change: str, back: str, words: str, severity: str, *, cured: bool = True
) -> Fault:
    """
    A fault that is one CONFIG SET, or SENTINEL SET.
    """
    name, wrong = change.split()
    command = ("SENTINEL", "SET", "sahool-master") if who == "sentinel" else ("CONFIG", "SET")
    return Fault(
        check=check,
        who=who,
        sent=((*command, name, wrong.strip('"')),),
        undone=((*command, name, back),),
        words=words,
        severity=severity,
        cured=cured,
    )


POPULATE = tuple(("SET", f"key:{n}", "x") for n in range(120))
EXPIRING = tuple(("SET", f"key:{n}", "x", "EX", 1000) for n in range(120))

FAULTS = (
    setting("min-replicas", "master", "min-replicas-to-write 0", "1", "is off", "warning"),
    setting("min-replicas", "master", "min-replicas-max-lag 0", "10", "is off", "warning"),
    setting("min-replicas", "replica", "min-replicas-to-write 2", "1", "as many as", "warning"),
    setting("min-replicas", "replica", "min-replicas-to-write 3", "1", "2 replicas", "error"),
    setting("replica-read-only", "replica", "replica-read-only no", "yes", "accepts", "warning"),
    setting("replica-priority", "every replica", "replica-priority 0", "100", "every", "error"),
    setting("replica-stale-data", "replica", "replica-serve-stale-data no", "yes", "", "hint"),
    setting("masterauth", "master", 'masterauth ""', PASSWORD, "is not set", "error"),
    setting("masterauth", "replica", "masterauth other", PASSWORD, "another", "error"),
    setting("maxmemory", "master", "maxmemory 0", "100mb", "is not set", "warning"),
    setting("maxmemory", "master", "maxmemory 4000gb", "100mb", "its host has", "warning"),
    setting("memory-used", "replica", "maxmemory 1mb", "100mb", "(1 MiB)", "warning", cured=False),
    setting("settings-differ", "replica", "maxmemory 90mb", "100mb", "", "warning", cured=False),
    setting("idle-connections", "master", "timeout 10", "0", "idle for 10 s", "warning"),
    setting("idle-connections", "replica", "timeout 600", "0", "idle for 600 s", "hint"),
    setting("idle-connections", "master", "tcp-keepalive 0", "300", "tcp-keepalive", "warning"),
    setting("maxclients", "replica", "maxclients 60", "10000", "is 60", "warning"),
    setting("script-limit", "master", "busy-reply-threshold 60000", "500", "for 60 s", "hint"),
    setting("sentinel-quorum", "sentinel", "quorum 1", "2", "of 3 is 2", "warning"),
    setting("sentinel-quorum", "sentinel", "quorum 3", "2", "of 3 is 2", "warning"),
    setting("failover-possible", "sentinel", "quorum 4", "2", "NOQUORUM", "error"),
    setting(
        *("sentinel-settings", "sentinel", "failover-timeout 7000", "10000", "7000", "warning"),
        cured=False,
    ),
    Fault(
        check="persistence",
        who="replica",
        sent=(("CONFIG", "SET", "save", ""),),
        undone=(("CONFIG", "SET", "save", "3600 1"), ("CONFIG", "SET", "appendonly", "no")),
        words="nothing on disk",
    ),
    Fault(
        check="no-password",
        who="replica",
        sent=(("ACL", "SETUSER", "default", "nopass"),),
        undone=(("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}"),),
        words="without a password, and protected-mode is off",
    ),
    Fault(
        check="login",
        who="replica",
        sent=(("CONFIG", "SET", "requirepass", "another"),),
        undone=(("CONFIG", "SET", "requirepass", PASSWORD),),
        words="login refused",
        severity="error",
        cured=False,
    ),
    Fault(
        check="sentinel-names",
        who="sentinel",
        sent=(("SENTINEL", "CONFIG", "SET", "announce-hostnames", "yes"),),
        undone=(
            ("SENTINEL", "CONFIG", "SET", "announce-hostnames", "no"),
            ("SENTINEL", "CONFIG", "SET", "resolve-hostnames", "no"),
        ),
        words="does not resolve",
    ),
    Fault(
        check="sentinel-settings",
        who="sentinel",
        sent=(("SENTINEL", "CONFIG", "SET", "resolve-hostnames", "yes"),),
        undone=(("SENTINEL", "CONFIG", "SET", "resolve-hostnames", "no"),),
        words="resolve-hostnames differs",
        cured=False,
    ),
    Fault(
        check="eviction",
        who="master",
        sent=(("CONFIG", "SET", "maxmemory-policy", "volatile-lru"), *POPULATE),
        undone=(("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("FLUSHALL",)),
        words="0 of 120 keys have a TTL",
    ),
    Fault(
        check="eviction",
        who="master",
        sent=EXPIRING,
        undone=(("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("FLUSHALL",)),
        words="noeviction",
        severity="hint",
    ),
)
