"""
Each right that may be missing costs its feature and one warning, nothing else; the documented
lines suffice for all of each role's work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from sahool_cache import MasterUnknownError, NotDurableError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import RightMissing
from sahool_cache.rights import RIGHTS, Right
from tests.house import ROOT
from tests.integration.observe import Recorder, eventually
from tests.security.roles import as_client, grant, servers
from tests.security.work import FEATURES

COSTS: dict[str, set[str]] = {
    "WAIT": {"durable", "durable on all", "confirmed"},
    "ROLE": {"durable on all"},
    "SPUBLISH": {"confirmed"},
    "CLIENT TRACKING": {"near cache"},
    "PTTL": {"near cache", "recipes"},
    "SENTINEL REPLICAS on a sentinel": {"replicas"},
}
"""What does not work without a right; everything else has to."""


@pytest.fixture(scope="module")
def group() -> Iterator[EmbeddedSentinel]:
    """
    A group whose tests make its users anew.
    """
    group = EmbeddedSentinel(password="root", sentinel_password="root")
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


OPTIONAL = [pytest.param(right, id=right.name) for right in RIGHTS if not right.required]
REQUIRED = [
    pytest.param(right, id=right.name)
    for right in RIGHTS
    if right.required and right.on == "sentinel"
]


async def without(group: EmbeddedSentinel, right: Right) -> None:
    minus = right.rule.replace("+", "-", 1)
    on_data = (minus,) if right.on == "data" else ()
    on_sentinels = (minus,) if right.on == "sentinel" else ()
    await grant(group, servers(group), "application", *on_data)
    await grant(group, group.sentinels, "client", *on_sentinels)


@pytest.mark.parametrize("right", OPTIONAL)
@pytest.mark.asyncio
async def test_a_right_that_is_missing_costs_its_feature_and_one_warning(
    group: EmbeddedSentinel, recorder: Recorder, caplog: pytest.LogCaptureFixture, right: Right
) -> None:
    await without(group, right)
    settings = as_client(
        group, "application", near_cache=True, client_name="app", slow_threshold=None
    )
    failed = set()
    async with RedisClient(settings, observers=[recorder]) as redis:
        await redis.wait_ready()
        if right.name == "SENTINEL REPLICAS on a sentinel":
            assert redis.topology.replicas == ()
        else:
            assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        for name, feature in FEATURES.items():
            if name in COSTS.get(right.name, ()):
                with pytest.raises((Exception, AssertionError)):
                    async with asyncio.timeout(1):
                        await feature(redis)
                failed.add(name)
            else:
                await feature(redis)
        assert await eventually(lambda: recorder.of(RightMissing) != [])
    assert failed == COSTS.get(right.name, set())
    (told,) = recorder.of(RightMissing)
    assert (told.right, told.costs) == (right.name, right.costs)
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == 1, [each.getMessage() for each in warnings]
    assert "RightMissing" in warnings[0].getMessage()


@pytest.mark.asyncio
async def test_a_ping_that_is_refused_costs_nothing_and_is_not_told(
    group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture
) -> None:
    await grant(group, servers(group), "application", "-ping")
    await grant(group, group.sentinels, "client", "-ping")
    settings = as_client(group, "application", near_cache=True, slow_threshold=None)
    async with RedisClient(settings) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        for feature in FEATURES.values():
            await feature(redis)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


@pytest.mark.asyncio
async def test_a_durable_write_without_wait_runs_and_says_that_nobody_confirmed_it(
    group: EmbeddedSentinel,
) -> None:
    await without(group, next(right for right in RIGHTS if right.name == "WAIT"))
    async with RedisClient(as_client(group, "application")) as redis:
        with pytest.raises(NotDurableError, match="refused to tell"):
            await redis.with_options(durability=1).set("unconfirmed", "1")
        assert await redis.get("unconfirmed") == "1"


@pytest.mark.parametrize("right", REQUIRED)
@pytest.mark.asyncio
async def test_a_sentinels_right_that_is_required_is_named(
    group: EmbeddedSentinel, right: Right
) -> None:
    await without(group, right)
    async with RedisClient(as_client(group, "application", command_timeout=1.0)) as redis:
        with pytest.raises(MasterUnknownError, match="no permissions"):
            await redis.get("k")


def test_the_page_has_the_table_of_rights() -> None:
    page = (ROOT / "docs/rights.md").read_text()
    for right in RIGHTS:
        must = "**required**: " if right.required else ""
        assert f"| {right.name} | {right.when} | {must}{right.costs} |\n" in page
