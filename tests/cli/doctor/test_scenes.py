from __future__ import annotations

import os
from pathlib import Path

import pytest

from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.doctor.faults import FAULTS
from tests.cli.doctor.groups import look, names, until_found, until_silent, well_kept
from tests.cli.doctor.unfit import SETTINGS, TOLD
from tests.house import ROOT

REDIS = Path("/usr/bin/redis-server")
SCENES = {
    *("sentinel-count", "replicas", "enough-replicas", "sentinel-password", "no-password"),
    *("sentinel-down", "failover-possible", "server-down"),
    *("replica-link", "sentinel-sight", "persistence-failed", "rights"),
}


@pytest.mark.asyncio
async def test_a_group_without_replicas_passwords_and_a_third_sentinel() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=2) as group:
        update = {"read_from": "replica"}
        found = diagnose(await look(group.settings.model_copy(update=update)), CHECKS)
        assert names(found) == {
            *("sentinel-count", "replicas", "enough-replicas", "sentinel-password", "no-password"),
            *("persistence", "maxmemory", "script-limit"),
        }
        assert found.status == 1
        assert [finding.severity for _, finding in found.findings][:2] == ["error", "error"]


@pytest.mark.asyncio
async def test_lost_members_are_told_and_what_they_leave_undecided() -> None:
    async with well_kept(down_after=2.0) as group:
        await group.kill(group.replicas[0])
        await group.kill(group.sentinels[0])
        lost = {str(group.replicas[0].address), str(group.sentinels[0].address)}
        found = await until_found(group.settings, "server-down", "sentinel-down")
        told = {finding.server for _, finding in found.findings}
        assert lost <= told
        assert {each.why.split()[0] for each in found.skipped if each.check == "*"} == lost
        assert found.status == 1
        await group.kill(group.sentinels[1])
        found = await until_found(group.settings, "failover-possible")


@pytest.mark.asyncio
async def test_a_replica_and_a_sentinel_with_a_wrong_password_for_the_servers() -> None:
    async with well_kept(down_after=1.0, sentinels=3) as group:
        replica, sentinel = group.replicas[0], group.sentinels[0]
        await group.command(replica, "CONFIG", "SET", "masterauth", "wrong")
        await group.command(group.master, "CLIENT", "KILL", "TYPE", "replica")
        await group.command(sentinel, "SENTINEL", "SET", "sahool-master", "auth-pass", "wrong")
        found = await until_found(group.settings, "replica-link", "masterauth", "sentinel-sight")
        (link,) = [finding for name, finding in found.findings if name == "replica-link"]
        assert (link.severity, link.server) == ("error", str(replica.address))
        assert "is down" in link.found


@pytest.mark.asyncio
async def test_a_save_that_failed_is_told(kept_group: EmbeddedSentinel) -> None:
    replica = kept_group.replicas[0]
    (_, directory) = await kept_group.command(replica, "CONFIG", "GET", "dir")
    await kept_group.command(replica, "CONFIG", "SET", "dir", "/proc")  # nobody can write there
    try:
        await kept_group.command(replica, "BGSAVE")
        found = await until_found(kept_group.settings, "persistence-failed")
    finally:
        await kept_group.command(replica, "CONFIG", "SET", "dir", directory)
        await kept_group.command(replica, "BGSAVE")
    assert [name for name, _ in found.findings] == ["persistence-failed"]
    await until_silent(kept_group.settings)


@pytest.mark.asyncio
@pytest.mark.parametrize(("replicas", "proved"), [(2, True), (1, False)])
async def test_an_acl_user_of_replicas_is_proved_by_the_link_of_another(
    replicas: int, proved: bool
) -> None:
    user = {"user": "copy on >pw-c &* +psync +replconf +ping", "masteruser": "copy"}
    async with well_kept({**user, "masterauth": "pw-c"}, replicas=replicas) as group:
        found = diagnose(await look(group.settings), CHECKS)
        assert "masterauth" not in names(found)
        assert ("masterauth" in found.checked) is proved


@pytest.mark.asyncio
@pytest.mark.skipif(
    not REDIS.exists() and not os.environ.get("SAHOOL_REQUIRE_REDIS"),
    reason=f"{REDIS} is missing",
)
async def test_a_group_of_redis_that_is_well_kept_yields_at_most_its_age() -> None:
    async with well_kept(server=REDIS) as group:
        found = diagnose(await look(group.settings), CHECKS)
        assert names(found) <= {"old-version"}
        assert found.status == 0


def test_every_check_is_provoked_and_in_the_documents() -> None:
    provoked = {each.check for each in FAULTS} | {row[0] for row in (*SETTINGS, *TOLD)} | SCENES
    ours = [each.name for each in CHECKS]
    assert sorted(provoked) == sorted(ours)
    page = (ROOT / "docs" / "operations" / "doctor.md").read_text()
    _, page = page.split("## The checks")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert rows == ours
