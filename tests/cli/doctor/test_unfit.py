from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sahool_cache.address import Address
from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.cli.doctor.facts import Clock, Facts
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.doctor.groups import look, names
from tests.cli.doctor.unfit import SETTINGS, TOLD, Change, server


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
    assert finding.mend == f"REDIS_ADDRESS_MAP={replica}={replica}"

    somewhere = Address("10.1.2.3", 6379)
    facts = replace(facts, elsewhere={master: somewhere})
    (_, finding) = diagnose(facts, CHECKS).findings[0]
    assert finding.mend == f"REDIS_ADDRESS_MAP={master}={somewhere},{replica}={replica}"


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
