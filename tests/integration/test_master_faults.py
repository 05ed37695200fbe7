"""
The master dies, hangs, wakes up, is replaced, restarts or blocks, while traffic goes on.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import RedisClient, RedisSettings
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.events import MasterChanged
from tests.integration.load import Load, Report
from tests.integration.observe import Recorder, eventually

DOWN_AFTER = 0.5
SLACK = 5.0
"""Seconds beyond down-after that an outage may last on a slow machine; it is about 0.5."""

WRITES = ("set", "sadd", "incr")

early_or_not = pytest.mark.parametrize("early", [True, False], ids=["early", "announced"])


def only_unknown_increments(report: Report) -> bool:
    """
    Whether the only calls that failed are those that must not be repeated, and say so.
    """
    return set(report.errors) <= {"incr OutcomeUnknownError"}


def settings(group: EmbeddedSentinel, *, early: bool) -> RedisSettings:
    return group.settings.model_copy(update={"early_promotion": early})


async def commands_run(group: EmbeddedSentinel, node: Node) -> dict[str, int]:
    """
    How often that server has run each command since it started.
    """
    text = await group.command(node, "INFO", "commandstats")
    lines = [line for line in str(text).splitlines() if line.startswith("cmdstat_")]
    return {
        line.partition(":")[0].removeprefix("cmdstat_"): int(
            line.partition("calls=")[2].partition(",")[0]
        )
        for line in lines
    }


@early_or_not
@pytest.mark.asyncio
async def test_killed_master_costs_no_write(group: EmbeddedSentinel, *, early: bool) -> None:
    """
    After kill -9 nothing acknowledged is lost or runs twice, and only INCRs in flight fail.
    """
    async with RedisClient(settings(group, early=early)) as redis:
        async with Load(redis) as load:
            await load.flows()
            old = await group.kill_master()
            new = await group.wait_for_failover(old)
            await load.flows(200)
            assert redis.topology.master == new.address
            assert redis.stats().failovers == 1
        report = await load.report(group)
        assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
        assert only_unknown_increments(report), report
        assert report.longest_gap < DOWN_AFTER + SLACK, report
        assert await eventually(lambda: not redis.topology.provisional)


@early_or_not
@pytest.mark.asyncio
async def test_hung_master_that_wakes_up_costs_no_write(
    group: EmbeddedSentinel, *, early: bool
) -> None:
    """
    SIGSTOP, promotion of another, SIGCONT: nobody goes back, although the old one says "master".
    """
    async with RedisClient(settings(group, early=early)) as redis:
        async with Load(redis) as load:
            await load.flows()
            old = group.master
            await group.pause(old)
            new = await group.wait_for_failover(old)
            await group.resume(old)
            await load.flows(600)
            assert redis.topology.master == new.address
        report = await load.report(group)
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert only_unknown_increments(report), report
    assert report.longest_gap < DOWN_AFTER + SLACK, report


@early_or_not
@pytest.mark.asyncio
async def test_planned_failover_is_not_noticed(group: EmbeddedSentinel, *, early: bool) -> None:
    """
    SENTINEL FAILOVER: no error of any kind, nothing lost, nothing twice.
    """
    async with RedisClient(settings(group, early=early)) as redis:
        async with Load(redis) as load:
            await load.flows()
            old = await group.failover()
            new = await group.wait_for_failover(old)
            assert await eventually(lambda: redis.topology.master == new.address)
            await load.flows(300)
        report = await load.report(group)
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert report.errors == {}, report
    assert report.longest_gap < SLACK, report


@pytest.mark.asyncio
async def test_master_restarted_before_anyone_replaces_it(recorder: Recorder) -> None:
    """
    A restart quicker than down-after: the client waits for the same master, and goes on.
    """
    persistent: dict[str, str | bool] = {"appendonly": True, "appendfsync": "always"}
    async with (
        EmbeddedSentinel(down_after=8.0, server_config=persistent) as group,
        RedisClient(group.settings, observers=[recorder]) as redis,
    ):
        async with Load(redis) as load:
            await load.flows()
            master = group.master
            await group.restart(master)
            await load.flows(200)
        report = await load.report(group)
        assert redis.topology.master == master.address
        assert len(recorder.of(MasterChanged)) == 1
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert only_unknown_increments(report), report


@pytest.mark.asyncio
async def test_one_slow_script_fails_nobody(recorder: Recorder) -> None:
    """
    A script of 2.5 s under a down-after of 5 s: every call waits, none fails, none runs twice.
    """
    busy = (
        "redis.call('INCR', KEYS[1]) local t = redis.call('TIME') local from = t[1] + t[2] / 1e6 "
        "repeat t = redis.call('TIME') until t[1] + t[2] / 1e6 - from > 2.5 return 'done'"
    )
    async with (
        EmbeddedSentinel(down_after=5.0) as group,
        RedisClient(group.settings, observers=[recorder]) as redis,
    ):
        async with Load(redis) as load:
            await load.flows()
            assert await redis.eval(busy, 1, "script:runs") == "done"
            await load.flows(200)
        report = await load.report(group)
        assert await redis.get("script:runs") == "1"
        assert len(recorder.of(MasterChanged)) == 1
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert report.errors == {}, report
    assert report.longest_call < 2.5 + SLACK, report


@pytest.mark.asyncio
async def test_two_failovers_in_a_row() -> None:
    """
    A planned failover and then a crash of the new master: the epoch rises, nothing is lost.
    """
    quick = {"info-period": 1000, "publish-period": 500}  # the first ex-master is demoted soon
    async with (
        EmbeddedSentinel(down_after=0.5, failover_timeout=3.0, sentinel_debug=quick) as group,
        RedisClient(group.settings) as redis,
    ):
        async with Load(redis) as load:
            await load.flows()
            first = await group.failover()
            second = await group.wait_for_failover(first)
            await group.wait_in_sync()
            epoch = redis.topology.epoch
            await load.flows()
            await group.kill(second)
            third = await group.wait_for_failover(second)
            await load.flows(200)
            assert await eventually(lambda: redis.topology.epoch > epoch)
            assert redis.topology.master == third.address
        report = await load.report(group)
        assert redis.stats().failovers == 2
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert only_unknown_increments(report), report


@pytest.mark.asyncio
async def test_returning_master_is_neither_written_to_nor_read(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    A killed master that is started again serves as a master for ten seconds: nobody asks it.
    """
    async with Load(redis) as load:
        await load.flows()
        old = await group.kill_master()
        await group.wait_for_failover(old)
        await load.flows()
        await group.restart(old)
        await load.flows(600)
        await asyncio.sleep(1.0)  # a look at the rotation falls into this time
        ran = await commands_run(group, old)
        role = await group.command(old, "ROLE")
    report = await load.report(group)
    assert isinstance(role, list)
    if role[0] == "master":  # as a replica it would have been sent the master's writes
        assert not set(ran) & {*WRITES, "get"}, ran
    assert (report.lost, report.duplicates, report.absent) == (0, 0, 0), report
    assert redis.stats().failovers == 1


@pytest.mark.asyncio
async def test_woken_master_gets_no_new_write(group: EmbeddedSentinel, redis: RedisClient) -> None:
    """
    A hung master that wakes up finds at most what was in its buffers, and then silence.
    """
    async with Load(redis) as load:
        await load.flows()
        old = group.master
        await group.pause(old)
        await group.wait_for_failover(old)
        await load.flows()
        await group.resume(old)
        before = await commands_run(group, old)
        await load.flows(600)
        after = await commands_run(group, old)
        role = await group.command(old, "ROLE")
    assert isinstance(role, list)
    if role[0] == "master":
        assert [after.get(name) for name in WRITES] == [before.get(name) for name in WRITES]
