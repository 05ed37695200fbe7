"""
Checks of the client's settings against those of the group: times, connections, replicas.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding
from sahool_cache.cli.doctor.facts import Facts
from sahool_cache.cli.doctor.questions import CONFIG, INFO, KNOWN_REPLICAS, MASTER, SLOWLOG

__all__ = ["CHECKS"]

ELECTION = 2.0
"""Seconds until another master is announced, beyond down-after: docs/faults.md has 1.4 to 1.8."""
_IDLE = 30


def _outlive(facts: Facts) -> Iterator[Finding]:
    down_after, given = facts.down_after, facts.settings.command_timeout
    if down_after is not None and given < down_after + ELECTION:
        yield Finding(
            severity="warning",
            found=f"command_timeout is {given:g} s; a failover takes about {ELECTION:g} s after "
            f"the {down_after:g} s of down-after-milliseconds",
            why="Calls give up before there is a new master",
            mend=f"REDIS_COMMAND_TIMEOUT={down_after + 2 * ELECTION:g}, or `SENTINEL SET "
            f"{facts.settings.master_name} down-after-milliseconds` to less, on every sentinel.",
        )


def _own(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    if settings.socket_timeout > settings.command_timeout:
        yield Finding(
            severity="hint",
            found=f"socket_timeout ({settings.socket_timeout:g} s) is longer than command_timeout "
            f"({settings.command_timeout:g} s)",
            why="A connection that hangs outlasts the calls that wait on it",
            mend=f"REDIS_SOCKET_TIMEOUT={settings.command_timeout / 2:g}",
        )
    threshold = settings.slow_threshold
    if threshold is not None and threshold >= settings.command_timeout:
        yield Finding(
            severity="hint",
            found=f"slow_threshold ({threshold:g} s) is not less than command_timeout",
            why="No call is ever reported as slow",
            mend="REDIS_SLOW_THRESHOLD=0.1",
        )


def _replicas(facts: Facts) -> Iterator[Finding]:
    settings, count = facts.settings, len(facts.replicas)
    least = 1 if settings.durability == "all" else settings.durability
    if least > count:
        yield Finding(
            severity="error",
            found=f"durability is {settings.durability} and there are {count} replicas",
            why="Every durable write raises NotDurableError",
            mend=f"Start {least - count} more, or set REDIS_DURABILITY={count}.",
        )
    if settings.read_from == "replica" and not count:
        yield Finding(
            severity="error",
            found="read_from is replica and there is none",
            why="No read can be served",
            mend="REDIS_READ_FROM=replica_preferred",
        )


def _idle(facts: Facts) -> Iterator[Finding]:
    for each in facts.configured():
        seconds = each.number("timeout")
        if seconds:
            short = seconds < _IDLE
            yield Finding(
                severity="warning" if short else "hint",
                server=str(each),
                found=f"it closes connections that were idle for {seconds:.0f} s (timeout)",
                why="Connections for blocking commands and transactions are made again and again",
                mend="`CONFIG SET timeout 0`, then `CONFIG REWRITE`; tcp-keepalive finds the dead.",
            )
        if each.config.get("tcp-keepalive") == "0":
            yield Finding(
                severity="warning",
                server=str(each),
                found="tcp-keepalive is off",
                why="The connection of a client whose host was lost stays, and counts in "
                "maxclients",
                mend="`CONFIG SET tcp-keepalive 60`, then `CONFIG REWRITE`.",
            )


def _clients(facts: Facts) -> Iterator[Finding]:
    wanted = facts.settings.max_connections
    for each in facts.answering:
        most, now = each.number("maxclients"), each.number("connected_clients")
        refused = each.number("rejected_connections")
        if most and (most < 2 * wanted or now > most * 0.8):
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"maxclients is {most:.0f}, {now:.0f} are connected, and this client alone "
                f"may open {wanted} (max_connections)",
                why="Further connections are refused, those of sentinels and replicas, too",
                mend=f"`CONFIG SET maxclients {max(10_000, 2 * wanted, 2 * now):.0f}`, then "
                "`CONFIG REWRITE`; or a smaller REDIS_MAX_CONNECTIONS.",
            )
        elif refused:
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"{refused:.0f} connections were refused since it started (maxclients "
                f"{most:.0f})",
                why="Somebody had no connection then",
                mend="Look for clients that open one for each call; `CONFIG SET maxclients` to "
                "more.",
            )


def _slow(facts: Facts) -> Iterator[Finding]:
    down_after = facts.down_after
    for each in facts.answering:
        longest, command = max(each.said(SLOWLOG, []), default=(0.0, ""))
        if down_after is not None and longest > down_after / 2:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"{command} held everybody up for {longest:.2f} s",
                why=f"The sentinels give a server up after {down_after:g} s of silence",
                mend="`SLOWLOG GET` shows which; ask for less at a time (SCAN, ranges, UNLINK). "
                "Then `SLOWLOG RESET`.",
            )


def _scripts(facts: Facts) -> Iterator[Finding]:
    down_after = facts.down_after
    for each in facts.configured():
        milliseconds = each.number("busy-reply-threshold") or each.number("lua-time-limit")
        if down_after is not None and milliseconds > down_after * 1000:
            yield Finding(
                severity="hint",
                server=str(each),
                found=f"a script may run for {milliseconds / 1000:g} s before anybody else is "
                "answered (busy-reply-threshold)",
                why=f"The sentinels give it up after {down_after:g} s, and nobody could send "
                "SCRIPT KILL",
                mend=f"`CONFIG SET busy-reply-threshold {down_after * 500:.0f}` (lua-time-limit "
                "before Redis 7), then `CONFIG REWRITE`.",
            )


CHECKS = (
    Check(name="command-timeout", find=_outlive, needs=(MASTER,)),
    Check(name="client-timeouts", find=_own),
    Check(name="enough-replicas", find=_replicas, needs=(KNOWN_REPLICAS,)),
    Check(name="idle-connections", find=_idle, needs=(CONFIG,)),
    Check(name="maxclients", find=_clients, needs=(INFO,)),
    Check(name="slow-commands", find=_slow, needs=(SLOWLOG, MASTER)),
    Check(name="script-limit", find=_scripts, needs=(CONFIG, MASTER)),
)
