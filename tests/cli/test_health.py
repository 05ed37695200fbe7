from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sahool_cache.cli.health import settled_health
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli


def test_a_group_in_order_is_healthy(calm_group: EmbeddedSentinel, cli: Cli) -> None:
    done = cli("health", settings=calm_group.settings)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "✓ healthy"
    assert f"✓ master {calm_group.master.address} answers" in lines
    assert "✓ 3 of 3 sentinels answer, the quorum is 2" in lines
    assert sum("keeps up" in line for line in lines) == 2


def test_json_is_one_document_whatever_the_status(calm_group: EmbeddedSentinel, here: Cli) -> None:
    done = here("health", "--json", settings=calm_group.settings)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "healthy")


@pytest.mark.asyncio
async def test_a_lost_replica_degrades_and_a_lost_group_is_down(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=30) as group:
        await group.kill(group.replicas[0])
        done = here("health", "--json", "--within", "1", settings=group.settings)
        document = json.loads(done.stdout)
        assert (done.returncode, document["status"]) == (1, "degraded")
        assert sorted(each["in_rotation"] for each in document["checks"]["replicas"]) == [
            False,
            True,
        ]

        for node in (*group.sentinels, group.master):
            await group.kill(node)
        done = here("health", "--json", "--within", "1", settings=group.settings)
        assert (done.returncode, json.loads(done.stdout)["status"]) == (2, "unhealthy")
        done = here("health", "--within", "1", settings=group.settings)
        assert (done.returncode, done.stdout.splitlines()[0]) == (2, "✗ unhealthy")
        assert f"{group.sentinels[0].address}" in done.stdout, "why"


def test_wrong_settings_and_wrong_words_are_usage_errors(
    calm_group: EmbeddedSentinel, here: Cli
) -> None:
    for arguments, said in (
        (("health",), "no sentinel is given"),
        (("health", "--url", "redis+sentinel://h:1"), "the URL has no master name"),
        (("health", "--within", "nan"), "--within"),
        (("health", "--nonsense"), "nonsense"),
        (("wealth",), "wealth"),
    ):
        done = here(*arguments)
        assert (done.returncode, done.stdout) == (64, ""), arguments
        assert said in done.stderr


def test_a_password_is_in_no_output(calm_group: EmbeddedSentinel, here: Cli) -> None:
    url = f"redis+sentinel://:wrong-pw@{calm_group.sentinels[0].address}/sahool-master"
    done = here("health", "--json", "--within", "0.5", "--url", url)
    assert done.returncode == 2
    assert "wrong-pw" not in done.stdout + done.stderr


class HungAfterALook:
    """
    A client whose second look never ends.
    """

    looks = 0

    async def health_check(self) -> dict[str, Any]:
        self.looks += 1
        if self.looks > 1:
            await asyncio.Event().wait()
        return {"status": "degraded"}


@pytest.mark.asyncio
async def test_a_look_that_hangs_does_not_outlast_the_time() -> None:
    redis: Any = HungAfterALook()
    async with asyncio.timeout(30):
        assert await settled_health(redis, 0.5) == {"status": "degraded"}
    assert redis.looks == 2
