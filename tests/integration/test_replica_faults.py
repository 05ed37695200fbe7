"""
Replicas die, hang, lose their link or are refilled: reads go on, and nothing that exists is absent.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from sahool_cache import NoReplicaError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.view import View
from tests.integration.load import KEPT, Load
from tests.integration.observe import eventually, send_all, within

LEAVES_WITHIN = 6.0
"""Seconds; the rotation is looked at every second, and a second look may be needed."""


async def both_in_rotation(redis: RedisClient) -> None:
    assert await eventually(lambda: len(redis.topology.in_rotation) == 2), redis


@pytest.mark.parametrize("fault", ["killed", "hung"])
@pytest.mark.asyncio
async def test_lost_replica_fails_no_read(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    A replica that dies or hangs: no error, no long wait, and it comes back into the rotation.
    """
    await both_in_rotation(redis)
    lost = group.replicas[0]
    async with Load(redis, writers=2, readers=6) as load:
        await load.flows()
        await (group.kill(lost) if fault == "killed" else group.pause(lost))
        gone = await eventually(lambda: lost.address not in redis.topology.in_rotation)
        await load.flows(200)
        await (group.restart(lost) if fault == "killed" else group.resume(lost))
        back = await eventually(lambda: lost.address in redis.topology.in_rotation, 20)
        await load.flows()
    report = await load.report(group)
    assert gone
    assert back
    assert (report.errors, report.absent, report.lost) == ({}, 0, 0), report
    assert report.reads > 100
    assert report.longest_call < 2, report
    assert redis.stats().failovers == 0


@pytest.mark.asyncio
async def test_reads_go_to_the_master_where_no_replica_is_left(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    With every replica dead, replica_preferred reads from the master, and "replica" refuses.
    """
    await both_in_rotation(redis)
    strict = redis.with_options(read_from="replica", timeout=1.5)
    await redis.set("k", "v")
    await redis.wait(2, 2000)
    assert await strict.get("k") == "v"
    killed_at = time.monotonic()
    for replica in group.replicas:
        await group.kill(replica)
    for read in (redis.replica.get, redis.with_options(read_from="nearest").get):
        for _ in range(20):
            with within(3):
                assert await read("k") == "v"
    assert await redis.get("k", use_slave=True) == "v"
    for call in (strict.get("k"), send_all(strict.pipeline(transaction=False), ("GET", "k"))):
        with within(4), pytest.raises(NoReplicaError) as caught:
            await call
        for replica in group.replicas:
            assert str(replica.address) in str(caught.value)
    await asyncio.sleep(max(0.0, killed_at + 7 - time.monotonic()))
    with within(1), pytest.raises(NoReplicaError):  # long known: it is said at once
        await strict.get("k")
    assert await strict.set("k", "w"), "writes go to the master, whatever is said of reads"


@pytest.mark.asyncio
async def test_group_without_replicas() -> None:
    """
    The master serves every read but those that insist on a replica.
    """
    async with (
        EmbeddedSentinel(replicas=0, sentinels=1) as group,
        RedisClient(group.settings) as redis,
    ):
        await redis.set("k", "v")
        assert await redis.replica.get("k") == "v"
        with within(4), pytest.raises(NoReplicaError):
            await redis.with_options(read_from="replica", timeout=1.5).get("k")


async def cut(group: EmbeddedSentinel, replica: Node, how: str) -> None:
    if how == "made a master":
        await group.command(replica, "REPLICAOF", "NO", "ONE")
    else:  # nobody listens on port 1
        await group.command(replica, "REPLICAOF", "127.0.0.1", "1")


@pytest.mark.parametrize("how", ["made a master", "sent to nowhere"])
@pytest.mark.asyncio
async def test_replica_without_its_master_leaves_the_rotation(
    group: EmbeddedSentinel, redis: RedisClient, how: str
) -> None:
    """
    It answers as quickly as ever, with older and older data: it is not read until it follows again.
    """
    await both_in_rotation(redis)
    replica = group.replicas[0]
    master = group.master
    await cut(group, replica, how)
    left = await eventually(lambda: replica.address not in redis.topology.in_rotation)
    assert left
    await redis.set("written", "since")
    for _ in range(100):
        assert await _replicated(redis.replica, "written") == "since"
    await group.command(replica, "REPLICAOF", *map(str, master.address))
    assert await eventually(lambda: len(redis.topology.in_rotation) == 2, 20)
    assert redis.topology.master == master.address


async def _replicated(view: View, key: str) -> str | None:
    # The other replica is a millisecond behind, which is no fault.
    for _ in range(100):
        if (value := await view.get(key)) is not None:
            return str(value)
        await asyncio.sleep(0.001)
    return None


@pytest.mark.parametrize("how", ["restarted", "detached and attached", "link killed"])
@pytest.mark.asyncio
async def test_replica_that_is_refilled_hides_no_key(
    group: EmbeddedSentinel, redis: RedisClient, how: str
) -> None:
    """
    A replica that copies all data anew, some megabytes: keys that exist are never read as absent.
    """
    await both_in_rotation(redis)
    async with redis.pipeline(transaction=False) as pipe:
        for n in range(100):
            pipe.mset({f"filler:{n}:{i}": "x" * 300 for i in range(600)})
        await pipe.execute()
    await redis.wait(2, 5000)
    replica, master = group.replicas[0], group.master
    async with Load(redis, writers=1, readers=8, pace=0.002) as load:
        await load.flows()
        for _ in range(1 if how == "restarted" else 3):
            if how == "restarted":
                await group.kill(replica)
                await group.restart(replica)
            elif how == "link killed":
                await group.command(replica, "CLIENT", "KILL", "TYPE", "master")
            else:
                await cut(group, replica, "made a master")
                await asyncio.sleep(0.1)
                await group.command(replica, "REPLICAOF", *map(str, master.address))
            await load.flows()
            assert await eventually(lambda: len(redis.topology.in_rotation) == 2, 20)
        await load.flows()
    report = await load.report(group)
    assert (report.errors, report.absent, report.lost) == ({}, 0, 0), report
    assert report.reads > KEPT


@pytest.mark.asyncio
async def test_replica_that_lags_leaves_the_rotation(group: EmbeddedSentinel) -> None:
    """
    A replica that hangs for longer than max_replica_lag is not read right after it wakes up.
    """
    settings = group.settings.model_copy(update={"max_replica_lag": 1.0})
    async with RedisClient(settings) as redis:
        await both_in_rotation(redis)
        replica = group.replicas[0]
        await group.pause(replica)
        assert await eventually(
            lambda: replica.address not in redis.topology.in_rotation, LEAVES_WITHIN
        )
        health = await redis.health_check()
        assert health["status"] == "degraded"
        entry = {each["address"]: each for each in health["checks"]["replicas"]}
        assert entry[str(replica.address)]["in_rotation"] is False
        await group.resume(replica)
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)


@pytest.mark.asyncio
async def test_after_a_switch_reads_wait_for_replicas_that_follow_the_new_master(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    What the new master was told is read back through the replica view, during the switch as well.
    """
    await both_in_rotation(redis)
    old = await group.kill_master()
    await redis.set("after", "the switch")
    for _ in range(300):
        assert await redis.replica.get("after") in {"the switch", None}
        if len(redis.topology.in_rotation) == 0:  # then the master serves, which has it
            assert await redis.replica.get("after") == "the switch"
        assert old.address not in redis.topology.in_rotation
        await asyncio.sleep(0.003)
    assert await eventually(lambda: len(redis.topology.in_rotation) == 1)
    assert await _replicated(redis.replica, "after") == "the switch"
