"""
The flight recorder: after a failover there is one record of it, and one line in the log.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.incident import read_incidents
from tests.integration.load import Load
from tests.integration.observe import eventually

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("fault", ["killed", "planned"])
async def test_a_failover_leaves_one_record(
    group: EmbeddedSentinel,
    redis: RedisClient,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    """
    Detected, fenced, elected, promoted, first write, confirmed: in this order, with who waited.
    """
    assert redis.incidents() == ()
    async with Load(redis, writers=8, readers=2) as load:
        await load.flows()
        old = await (group.kill_master() if fault == "killed" else group.failover())
        await load.flows(300)
        assert await eventually(redis.incidents)
    (incident,) = redis.incidents()
    assert (incident.old, incident.new) == (str(old.address), str(redis.topology.master))
    assert incident.epoch == redis.topology.epoch
    steps = [incident.fenced, incident.elected, incident.promoted, incident.confirmed]
    told = [step for step in steps if step is not None]
    assert len(told) == 4
    assert incident.promoted == max(told[:3])
    assert incident.first_write is not None
    assert incident.promoted <= incident.first_write < incident.promoted + 0.5
    assert incident.outage is not None
    assert incident.waited
    assert sum(each.calls for each in incident.waited) > 0
    unknown = sum("Unknown" in name for name in load.errors)
    assert (incident.unknown_calls > 0) == (unknown > 0)
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    about = [each.getMessage() for each in lines if each.name == "sahool_cache.incidents"]
    assert len(about) == 1
    assert list(read_incidents(about[0])) == [incident]


async def test_a_calm_group_has_no_incidents(redis: RedisClient) -> None:
    """
    A client that comes and goes while nothing happens writes no record.
    """
    await redis.set("k", "v")
    await asyncio.sleep(1.2)
    assert redis.incidents() == ()
