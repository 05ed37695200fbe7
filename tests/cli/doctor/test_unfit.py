from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from sahool_cache.address import Address
from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.cli.doctor.facts import Clock, Facts
from sahool_cache.cli.doctor.questions import INFO, MASTER
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.doctor.groups import look, names
from tests.cli.doctor.unfit import SETTINGS, TOLD, Change, peers, sentinel, server


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("check", "update", "severity", "words"),
    [pytest.param(*each, id=f"{each[0]}-{n}") for n, each in enumerate(SETTINGS)],
)
async def test_a_setting_that_does_not_fit_the_group_is_found(
    kept_group: EmbeddedSentinel, check: str, update: dict[str, Any], severity: str, words: str
) -> None:
    found = diagnose(await look(kept_group.settings.model_copy(update=update)), CHECKS)
    mine = [finding for name, finding in found.findings if name == check]
    assert {each.severity for each in mine} == {severity}
    assert words in mine[0].found


@pytest.mark.asyncio
async def test_an_address_that_leads_nowhere_is_found_elsewhere_by_its_run_id(
    kept_group: EmbeddedSentinel,
) -> None:
    master, replica = kept_group.master.address, kept_group.replicas[0].address
    wrong = {str(master): "127.0.0.1:1", str(replica): str(replica)}
    facts = await look(kept_group.settings.model_copy(update={"address_map": wrong}))
    assert facts.elsewhere == {master: master}
    found = diagnose(facts, CHECKS)
    assert (names(found), found.status) == ({"address-map"}, 2)
    (_, finding) = found.findings[0]
    assert (finding.severity, finding.server) == ("error", str(master))
    assert finding.mend == "Take these addresses out of REDIS_ADDRESS_MAP."


@pytest.mark.asyncio
async def test_a_map_that_leads_to_another_server_is_put_right(
    kept_group: EmbeddedSentinel,
) -> None:
    first, second = (node.address for node in kept_group.replicas)
    crossed = {str(first): str(second), str(second): str(first), "10.9.9.9:1": "10.9.9.8:1"}
    facts = await look(kept_group.settings.model_copy(update={"address_map": crossed}))
    found = dict(diagnose(facts, CHECKS).findings)
    assert found.keys() == {"address-map", "address-map-unused"}
    assert f"{second} in place of {first}" in found["address-map"].found
    assert found["address-map"].mend == "REDIS_ADDRESS_MAP=10.9.9.9:1=10.9.9.8:1"


@pytest.mark.asyncio
async def test_a_sentinel_that_is_not_listed_is_searched_for_as_well(
    kept_group: EmbeddedSentinel,
) -> None:
    known, *others = (node.address for node in kept_group.sentinels)
    hidden = {str(each): "127.0.0.1:1" for each in others}
    update = {"sentinels": [known], "address_map": hidden}
    facts = await look(kept_group.settings.model_copy(update=update))
    assert facts.elsewhere == {each: each for each in others}
    found = diagnose(facts, CHECKS)
    assert [finding.severity for _, finding in found.findings] == ["warning"]
    assert (names(found), found.status) == ({"address-map"}, 1)


def test_a_gap_is_left_for_what_is_found_nowhere(facts: Facts) -> None:
    lost = server("replica", silent="no route", reached=False, reported="up", known_as=None)(facts)
    (finding,) = [each for name, each in diagnose(lost, CHECKS).findings if name == "address-map"]
    gap = "<host:port that reaches it from here>"
    assert finding.mend == f"REDIS_ADDRESS_MAP={finding.server}={gap}"


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 answers on Linux only")
@pytest.mark.asyncio
async def test_a_group_behind_another_address_is_found_by_its_run_ids() -> None:
    bind = {"bind": "127.0.0.1 127.0.0.2"}  # as a host whose ports Docker forwards
    async with EmbeddedSentinel(server_config=bind) as group, AsyncExitStack() as forwards:
        sentinels = [
            await forwards.enter_async_context(forwarded(each.address)) for each in group.sentinels
        ]
        master, *replicas = (node.address for node in (group.master, *group.replicas))
        update = {
            "sentinels": sentinels,
            "address_map": {str(each): "127.0.0.1:1" for each in (master, *replicas)},
        }
        facts = await look(group.settings.model_copy(update=update))
        mapped = {each: Address("127.0.0.2", each.port) for each in (master, *replicas)}
        assert facts.elsewhere == mapped
        found = diagnose(facts, CHECKS)
        (mend,) = [finding.mend for name, finding in found.findings if name == "address-map"]
        assert found.status == 2
        value = mend.removeprefix("REDIS_ADDRESS_MAP=")
        right = group.settings.model_copy(update={"sentinels": sentinels, "address_map": value})
        assert right.address_map == mapped
        found = diagnose(await look(right), CHECKS)
        assert (found.status, "address-map" in names(found)) == (1, False)


@asynccontextmanager
async def forwarded(target: Address) -> AsyncIterator[Address]:
    """
    An address of another host, in name, that leads to that one.
    """
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(writer):
            while data := await reader.read(1 << 16):
                writer.write(data)

    async def forward(near: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, far_writer = await asyncio.open_connection(*target)
        pipes.add(asyncio.create_task(pipe(near, far_writer), name="there"))
        pipes.add(asyncio.create_task(pipe(far, writer), name="back"))

    async with await asyncio.start_server(forward, "127.0.0.2", 0) as server:
        yield Address("127.0.0.2", server.sockets[0].getsockname()[1])
    await asyncio.gather(*pipes)


@pytest.fixture(scope="module")
def facts(kept_group: EmbeddedSentinel) -> Facts:
    return asyncio.run(look(kept_group.settings))


@pytest.mark.parametrize(
    ("check", "change", "severity", "words"),
    [pytest.param(*each, id=f"{each[0]}-{n}") for n, each in enumerate(TOLD)],
)
def test_a_fault_that_a_server_would_tell_of_is_found(
    facts: Facts, check: str, change: Change, severity: str, words: str
) -> None:
    found = diagnose(change(facts), CHECKS).findings
    mine = [finding for name, finding in found if name == check]
    assert [each.severity for each in mine[:1]] == [severity]
    assert words in mine[0].found


def test_a_clock_that_is_off_by_less_than_can_be_measured_is_left_alone(facts: Facts) -> None:
    slow = server("replica", clock=Clock(ahead=3.0, within=2.9))(facts)
    assert not diagnose(slow, CHECKS).findings


def test_a_server_that_does_not_tell_the_time_is_skipped(facts: Facts) -> None:
    mute = server("replica", clock=None)(facts)
    assert "+time" in next(x.why for x in diagnose(mute, CHECKS).skipped if x.check == "clock")


def mend(facts: Facts, check: str) -> str:
    """
    What cures the first finding of that check.
    """
    return next(found.mend for name, found in diagnose(facts, CHECKS).findings if name == check)


def test_a_bound_on_replicas_is_not_mended_where_there_is_none(facts: Facts) -> None:
    lone = replace(facts, servers=tuple(each for each in facts.servers if each.role == "master"))
    assert mend(lone, "min-replicas") == mend(lone, "replicas")


def test_a_limit_of_connections_is_mended_by_a_higher_one(facts: Facts) -> None:
    wide = replace(facts, settings=facts.settings.model_copy(update={"max_connections": 6000}))
    assert "maxclients 12000" in mend(wide, "maxclients")
    full = server("master", {INFO.asked: {"connected_clients": "9000"}})(facts)
    assert "maxclients 18000" in mend(full, "maxclients")


def test_what_a_first_sync_brings_is_no_rate_of_writes(facts: Facts) -> None:
    told = {"instantaneous_input_repl_kbps": "90000.0", "master_link_status": "down"}
    copying = server("replica", {INFO.asked: told | {"master_sync_in_progress": "1"}})(facts)
    assert names(diagnose(copying, CHECKS)) == {"replica-link"}


def test_a_sentinel_that_connects_anew_is_not_blind(facts: Facts) -> None:
    anew = sentinel({MASTER.asked: {"flags": "master,disconnected"}})(facts)
    assert not diagnose(anew, CHECKS).findings


def test_a_sentinel_that_has_just_voted_down_a_master_is_not_down(facts: Facts) -> None:
    def voted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "flags": "sentinel,master_down"} for row in rows]

    assert not diagnose(peers(voted)(facts), CHECKS).findings
