"""
Memory, stats, clients, replication and CPU of one server, a line to each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from sahool_cache.cli.escapes import printable
from sahool_cache.cli.survey import ServerWord
from sahool_cache.cli.units import size

__all__ = ["details"]


def details(word: ServerWord) -> Iterator[Text]:
    """
    A title, and the lines.
    """
    yield Text(f"{word.address} {word.role}", style="bold")
    told = {
        "memory": _memory,
        "stats": _stats,
        "clients": _clients,
        "replication": _replication,
        "cpu": _cpu,
    }
    for section, tell in told.items():
        yield Text(f"  {section:<13}{printable('; '.join(tell(word)))}")


def _memory(word: ServerWord) -> Iterator[str]:
    used, peak, resident, most = (
        _number(word, "memory", name)
        for name in ("used_memory", "used_memory_peak", "used_memory_rss", "maxmemory")
    )
    yield f"{size(used)} used, {size(peak)} at most, {size(resident)} resident"
    policy = word.field("memory", "maxmemory_policy")
    yield f"limit {size(most)}, {policy}" if most else "no limit"


def _stats(word: ServerWord) -> Iterator[str]:
    ran, rate, hits, misses, expired, evicted = (
        _number(word, "stats", name)
        for name in (
            "total_commands_processed",
            "instantaneous_ops_per_sec",
            "keyspace_hits",
            "keyspace_misses",
            "expired_keys",
            "evicted_keys",
        )
    )
    yield f"{rate:,.0f} commands/s, {ran:,.0f} in all"
    if hits + misses:
        yield f"{hits / (hits + misses):.1%} hits"
    yield f"{expired:,.0f} expired, {evicted:,.0f} evicted"


def _clients(word: ServerWord) -> Iterator[str]:
    connected, most, blocked = (
        _number(word, "clients", name)
        for name in ("connected_clients", "maxclients", "blocked_clients")
    )
    yield f"{connected:,.0f} connected" + (f" of {most:,.0f}" if most else "")
    yield f"{blocked:,.0f} blocked"
    yield f"{_number(word, 'stats', 'rejected_connections'):,.0f} refused"


def _replication(word: ServerWord) -> Iterator[str]:
    yield "offset unknown" if word.offset is None else f"offset {word.offset:,}"
    if word.role == "replica":
        yield f"follows {word.follows}, link {word.field('replication', 'master_link_status')}"
    else:
        replicas = _number(word, "replication", "connected_slaves")
        yield f"{replicas:.0f} replicas"
    yield f"backlog {size(_number(word, 'replication', 'repl_backlog_size'))}"


def _cpu(word: ServerWord) -> Iterator[str]:
    system, user = (_number(word, "cpu", f"used_cpu_{name}") for name in ("sys", "user"))
    yield f"{system:,.1f} s system, {user:,.1f} s user"


def _number(word: ServerWord, section: str, name: str) -> Any:
    found = word.field(section, name)
    return found if isinstance(found, int | float) else 0
