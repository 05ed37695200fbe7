"""
The ACL lines of docs/rights.md, and what the servers have refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sahool_cache import RedisSettings
from sahool_cache.embedded import EmbeddedSentinel, Node
from tests.house import ROOT

__all__ = ["LINES", "as_client", "connections", "grant", "password_of", "refusals", "servers"]

LINES = {
    name: rules
    for block in re.findall(r"```acl\n(.*?)```", (ROOT / "docs/rights.md").read_text(), re.DOTALL)
    for name, rules in re.findall(r"^user (\S+) (.+)$", block, re.MULTILINE)
}


def password_of(name: str) -> str:
    """
    The password in a role's line.
    """
    found = re.search(r" >(\S+)", LINES[name])
    assert found is not None
    return found[1]


async def grant(group: EmbeddedSentinel, nodes: Iterable[Node], name: str, *changes: str) -> None:
    """
    Makes the user of that line, exactly, but for some `changes` after it.
    """
    for node in nodes:
        rules = (*LINES[name].split(), *changes)
        await group.command(node, "ACL", "SETUSER", name, "reset", *rules)


def servers(group: EmbeddedSentinel) -> tuple[Node, ...]:
    """
    The data servers.
    """
    return (group.master, *group.replicas)


def as_client(group: EmbeddedSentinel, user: str, **update: Any) -> RedisSettings:
    """
    Settings for the user of a line on the data servers, who is `client` on the sentinels.
    """
    return group.settings.model_copy(
        update={
            "username": user,
            "password": password_of(user),
            "sentinel_username": "client",
            "sentinel_password": password_of("client"),
            "durability_timeout": 2.0,  # a busy machine's replicas take their time
            **update,
        }
    )


async def connections(
    group: EmbeddedSentinel, nodes: Iterable[Node]
) -> list[tuple[int, dict[str, str]]]:
    """
    What these servers say of each connection of a client that is named `app`, after their port.
    """
    found = []
    for node in nodes:
        for line in str(await group.command(node, "CLIENT", "LIST")).splitlines():
            facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if facts["name"] == "app":
                found.append((node.port, facts))
    return found


async def refusals(group: EmbeddedSentinel) -> list[str]:
    """
    What any server of the group has refused to any user since the last time, and why.
    """
    found = []
    for node in (*servers(group), *group.sentinels):
        if not node.awake:
            continue
        for entry in await group.command(node, "ACL", "LOG"):  # type: ignore[union-attr]
            fields = dict(zip(entry[::2], entry[1::2], strict=True))  # type: ignore[index, arg-type]
            found.append(f"{node.role}: {fields['username']} {fields['reason']} {fields['object']}")
        await group.command(node, "ACL", "LOG", "RESET")
    return sorted(set(found))
