"""
Sentinels hang, die, return or are not what the settings say: calls hardly notice.
"""

from __future__ import annotations

import time

import pytest

from sahool_cache import MasterUnknownError, RedisClient, UnavailableError
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import SentinelDown, SentinelUp
from tests.integration.load import Load
from tests.integration.observe import Recorder, eventually, send_all, within


@pytest.mark.asyncio
async def test_one_hung_sentinel_delays_nobody() -> None:
    """
    A new client opens at once, and a crash of the master is followed, while a sentinel hangs.
    """
    # Four that vote: two alone would often vote each for itself, and wait.
    async with EmbeddedSentinel(sentinels=5, down_after=0.5, failover_timeout=3.0) as group:
        await group.pause(group.sentinels[0])
        with within(3):
            redis = RedisClient(group.settings.model_copy(update={"command_timeout": 20.0}))
            assert await redis.set("k", "v")
        async with redis:
            async with Load(redis) as load:
                await load.flows()
                await group.wait_for_failover(await group.kill_master())
                with within(3):
                    await load.flows(1)
                await load.flows()
            report = await load.report(group)
            assert (report.lost, report.duplicates) == (0, 0), report
            assert set(report.errors) <= {"incr OutcomeUnknownError"}, report
            info = await redis.get_sentinel_info()
            hung = {each["port"] for each in info["sentinels"] if not each["answers"]}
            assert hung == {group.sentinels[0].port}


@pytest.mark.asyncio
async def test_two_dead_sentinels_with_a_healthy_master(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Without a quorum nothing can be failed over, but calls go on, for new clients as well.
    """
    async with Load(redis) as load:
        await load.flows()
        for sentinel in group.sentinels[:2]:
            await group.kill(sentinel)
        await load.flows(200)
    report = await load.report(group)
    assert (report.errors, report.lost) == ({}, 0), report
    with within(3):
        other = RedisClient(group.settings)
        assert await other.set("k", "v")
    health = await other.health_check()
    assert health["status"] == "degraded"
    assert health["checks"]["sentinels"]["has_quorum"] is False
    await other.aclose()


@pytest.mark.parametrize("fault", ["dead", "hung"])
@pytest.mark.asyncio
async def test_all_sentinels_gone_with_a_healthy_master(
    group: EmbeddedSentinel, redis: RedisClient, fault: str
) -> None:
    """
    What is connected goes on, and so does a client whose connections are cut meanwhile.
    """
    async with Load(redis) as load:
        await load.flows()
        for sentinel in group.sentinels:
            await (group.kill(sentinel) if fault == "dead" else group.pause(sentinel))
        assert await eventually(lambda: "sentinels 0/3" in repr(redis)), redis
        await load.flows(300)
        await group.command(group.master, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await load.flows(200)
    report = await load.report(group)
    assert (report.lost, report.duplicates) == (0, 0), report
    assert set(report.errors) <= {"incr OutcomeUnknownError"}, report
    assert report.longest_call < 3, report


@pytest.mark.asyncio
async def test_everything_dead_ends_every_call_in_time(group: EmbeddedSentinel) -> None:
    """
    No sentinel, no master: an UnavailableError within the budget, for each kind of call.
    """
    settings = group.settings.model_copy(update={"command_timeout": 2.0})
    async with RedisClient(settings) as redis:
        await redis.set("k", "v")
        for node in (*group.sentinels, group.master, *group.replicas):
            await group.kill(node)
        for _ in range(3):
            for call in (
                redis.get("k"),
                redis.set("k", "w"),
                redis.replica.get("k"),
                redis.blpop("list", timeout=1),
                send_all(redis.pipeline(), ("SET", "k", "w")),
                redis.pubsub().subscribe("channel"),
                redis.wait_ready(),
            ):
                with within(2 + 2), pytest.raises(UnavailableError) as caught:
                    await call
                assert str(caught.value)


@pytest.mark.asyncio
async def test_sentinels_that_return_are_used_again(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    """
    All sentinels die and come back: the client tells of both, and follows the next failover.
    """
    async with RedisClient(group.settings, observers=[recorder]) as redis:
        await redis.set("k", "v")
        await redis.wait(2, 2000)
        assert await eventually(lambda: len(recorder.of(SentinelUp)) == 3)
        for sentinel in group.sentinels:
            await group.kill(sentinel)
        assert await eventually(lambda: len(recorder.of(SentinelDown)) == 3)
        for sentinel in group.sentinels:
            await group.restart(sentinel)
        assert await eventually(lambda: len(recorder.of(SentinelUp)) == 6)
        assert {event.sentinel for event in recorder.of(SentinelUp)[3:]} == {
            sentinel.address for sentinel in group.sentinels
        }
        await group.wait_in_sync()
        new = await group.wait_for_failover(await group.kill_master())
        assert await redis.set("k", "w")
        assert redis.topology.master == new.address


@pytest.mark.asyncio
async def test_one_configured_sentinel_leads_to_the_others(group: EmbeddedSentinel) -> None:
    """
    The sentinels that are not in the settings are learned, and serve when the known one dies.
    """
    known = group.sentinels[1]
    settings = group.settings.model_copy(update={"sentinels": [known.address]})
    async with RedisClient(settings) as redis:
        await redis.set("k", "v")
        await redis.wait(2, 2000)
        addresses = {sentinel.address for sentinel in group.sentinels}
        assert await eventually(lambda: set(redis.topology.sentinels) == addresses)
        assert await eventually(lambda: "sentinels 3/3" in repr(redis)), redis
        await group.kill(known)
        new = await group.wait_for_failover(await group.failover())  # two seldom agree on a crash
        assert await eventually(lambda: redis.topology.master == new.address)
        assert await redis.set("k", "w")


@pytest.mark.asyncio
async def test_port_of_a_data_server_instead_of_a_sentinels(calm_group: EmbeddedSentinel) -> None:
    """
    The error says which address is no sentinel, and what it is.
    """
    wrong = (calm_group.master.address, calm_group.replicas[0].address)
    settings = calm_group.settings.model_copy(
        update={"sentinels": list(wrong), "command_timeout": 3.0}
    )
    async with RedisClient(settings) as redis:
        started = time.monotonic()
        with pytest.raises(MasterUnknownError) as caught:
            await redis.get("k")
        assert time.monotonic() - started < 5
        assert set(caught.value.causes) == {str(address) for address in wrong}
        for address, role in zip(wrong, ("master", "replica"), strict=True):
            cause = caught.value.causes[str(address)]
            assert "not a sentinel" in cause
            assert role in cause
            assert str(address) in str(caught.value)
