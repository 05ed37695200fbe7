from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.embedded.node import Node
from tests.cli.doctor.faults import FAULTS, Fault, Who
from tests.cli.doctor.groups import PASSWORD, SENTINEL_PASSWORD, look, names, until_silent


@pytest.mark.asyncio
async def test_a_group_that_is_well_kept_yields_no_finding(kept_group: EmbeddedSentinel) -> None:
    found = await until_silent(kept_group.settings)
    assert found.status == 0
    assert {each.check for each in found.skipped} == {"sentinel-hosts", "announced-loopback"}
    assert len(found.checked) == len(CHECKS) - 2


def members(group: EmbeddedSentinel, who: Who) -> tuple[Node, ...]:
    match who:
        case "master":
            return (group.master,)
        case "replica":
            return group.replicas[:1]
        case "every replica":
            return group.replicas
        case "sentinel":
            return group.sentinels[:1]


def connected(node: Node) -> Redis:
    password = SENTINEL_PASSWORD if node.role == "sentinel" else PASSWORD
    return Redis(host=node.host, port=node.port, password=password, single_connection_client=True)


async def send(connection: Redis, commands: Iterable[tuple[str | int, ...]]) -> None:
    for command in commands:
        await connection.execute_command(*command)


def told_commands(mend: str) -> Iterable[tuple[str, ...]]:
    """
    The settings that a finding says to send.
    """
    for command in re.findall("`([^`]+)`", mend):
        if " SET " in command or command.startswith("ACL SETUSER"):
            yield tuple(re.sub("<password[^>]*>", PASSWORD, command).split())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [pytest.param(each, id=f"{each.check}-{n}") for n, each in enumerate(FAULTS)]
)
async def test_a_fault_of_a_real_group_is_found_and_mended_as_told(
    kept_group: EmbeddedSentinel, fault: Fault
) -> None:
    nodes = members(kept_group, fault.who)
    async with AsyncExitStack() as connections:
        # Connections that are made before, and so survive a change of the password.
        for node in nodes:
            connection = await connections.enter_async_context(connected(node))
            connections.push_async_callback(send, connection, fault.undone)
            await send(connection, fault.sent)
        found = diagnose(await look(kept_group.settings), CHECKS)
        if fault.cured:
            (mend, *_) = [finding.mend for name, finding in found.findings if name == fault.check]
            for node in nodes:
                async with connected(node) as connection:
                    await send(connection, told_commands(mend))
            assert fault.check not in names(diagnose(await look(kept_group.settings), CHECKS))
    mine = [finding for name, finding in found.findings if name == fault.check]
    assert [fault.severity for each in mine] == [each.severity for each in mine] != []
    assert fault.words in mine[0].found
    for node in nodes:
        assert any(each.server is None or str(node.address) in each.server for each in mine)
    assert found.usable
    assert found.status == 1 or fault.severity == "hint"
