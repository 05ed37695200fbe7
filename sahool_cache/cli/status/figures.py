"""
The figures of one server: what its INFO says, and how far it is behind the master.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from sahool_cache.cli.survey import ServerWord, Survey

__all__ = ["Figures", "server_figures"]

_KEYS = re.compile(r"keys=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    One server; None is what is not known. `role` is the group's word, `says` the server's own.
    """

    address: str
    role: str
    answers: bool
    why: str | None
    says: str | None
    in_rotation: bool | None
    lag_seconds: float | None
    lag_bytes: int | None
    offset: int | None
    version: str | None
    uptime_seconds: int | None
    used_memory: int | None
    maxmemory: int | None
    clients: int | None
    commands_per_second: int | None
    keys: int | None

    @property
    def well(self) -> bool:
        """
        Whether it says that it is what it should be, and may be read.
        """
        return self.says == self.role and self.in_rotation is not False

    def as_data(self) -> dict[str, Any]:
        """
        The figures as plain data.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}


def server_figures(survey: Survey, word: ServerWord) -> Figures:
    """
    What is known of that server.
    """
    is_master = word.address == survey.master
    checked = {each["address"]: each for each in survey.health["checks"]["replicas"]}
    check = {} if is_master else checked.get(str(word.address), {"in_rotation": False})
    lead = next((each.offset for each in survey.servers if each.address == survey.master), None)
    known = not is_master and lead is not None and word.offset is not None
    return Figures(
        address=str(word.address),
        role="master" if is_master else "replica",
        answers=word.answers,
        why=word.why,
        says=word.role,
        in_rotation=check.get("in_rotation"),
        lag_seconds=check.get("lag"),
        # The two were asked at once, not at the same moment: a replica may seem to be ahead.
        lag_bytes=max(0, (lead or 0) - (word.offset or 0)) if known else None,
        offset=word.offset,
        version=_version(word),
        uptime_seconds=word.field("server", "uptime_in_seconds"),
        used_memory=word.field("memory", "used_memory"),
        maxmemory=word.field("memory", "maxmemory"),
        clients=word.field("clients", "connected_clients"),
        commands_per_second=word.field("stats", "instantaneous_ops_per_sec"),
        keys=_keys(word),
    )


def _version(word: ServerWord) -> str | None:
    for name in ("valkey", "redis"):  # Valkey tells a version of Redis, too
        said = word.field("server", f"{name}_version")
        if said is not None:
            return f"{name} {said}"
    return None


def _keys(word: ServerWord) -> int | None:
    if word.why is not None:
        return None
    databases = map(str, word.sections.get("keyspace", {}).values())
    return sum(int(found[1]) for found in map(_KEYS.match, databases) if found)
