"""
No connection grows older than `max_connection_age`, and nobody notices.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import NodeDown, SentinelDown
from tests.integration.conftest import group
from tests.integration.load import Load
from tests.integration.observe import Recorder, eventually
from tests.security.roles import connections, servers

__all__ = ["group"]

AGE = 1.5
ROUNDED = 2.5
"""The server tells ages in whole seconds, and a busy machine may be late."""


async def ages(group: EmbeddedSentinel) -> dict[tuple[int, str], int]:
    """
    How old the client's connections are, in the words of every server and sentinel.
    """
    found = await connections(group, (*servers(group), *group.sentinels))
    return {(port, facts["id"]): int(facts["age"]) for port, facts in found}


@pytest.mark.asyncio
async def test_connections_are_replaced_before_that_age_and_no_call_notices(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    """
    Lanes, the near cache's, exclusive and the sentinels' connections. One that waits for an element
    and one that is subscribed are left alone for as long as they are lent.
    """
    settings = group.settings.model_copy(
        update={"client_name": "app", "max_connection_age": AGE, "near_cache": True, "lanes": 2}
    )
    async with RedisClient(settings, observers=[recorder]) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        blocked = asyncio.create_task(redis.blpop("list", timeout=0))
        pubsub = redis.pubsub()
        await pubsub.subscribe("c")
        assert (await anext(pubsub.listen()))["type"] == "subscribe"
        durable = redis.with_options(durability=1)
        async with Load(redis, writers=2, readers=1) as load:
            while True:
                await load.flows(20)
                await durable.set("d", "1")
                seen = sorted((await ages(group)).values())
                assert len([age for age in seen if age > AGE + ROUNDED]) <= 2, seen
                if seen[-2] > 3 * AGE:  # the two have lived three lives of the others
                    break
        assert load.errors == {}, load.first_errors
        assert redis.stats().repeats == 0
        assert recorder.of(NodeDown) == recorder.of(SentinelDown) == []
        await redis.rpush("list", "a")
        assert await blocked == ("list", "a")
        await redis.publish("c", "m")
        assert (await anext(pubsub.listen()))["type"] == "message"
        await pubsub.aclose()
        deadline = asyncio.get_running_loop().time() + 10
        while max((await ages(group)).values()) > AGE + ROUNDED:  # what is given back is cut
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_idle_connections_do_not_outlive_it_either(group: EmbeddedSentinel) -> None:
    settings = group.settings.model_copy(update={"client_name": "app", "max_connection_age": 0.5})
    async with RedisClient(settings) as redis:
        await asyncio.gather(*(redis.blpop("nothing", timeout=0.05) for _ in range(5)))
        before = await ages(group)
        deadline = asyncio.get_running_loop().time() + 10
        # In the end one connection to each server and sentinel: the idle ones are gone.
        while before.keys() & (now := await ages(group)).keys() or len(now) != 6:
            assert asyncio.get_running_loop().time() < deadline, now
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_a_failover_amid_replacements_loses_nothing(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    settings = group.settings.model_copy(update={"max_connection_age": 0.2, "lanes": 2})
    async with RedisClient(settings, observers=[recorder]) as redis:
        async with Load(redis, writers=4, readers=2) as load:
            await load.flows()
            new = await group.wait_for_failover(await group.failover())
            assert await eventually(lambda: redis.topology.master == new.address)
            await load.flows()
        report = await load.report(group)
    assert (report.errors, report.lost, report.duplicates) == ({}, 0, 0), report.first_errors
