"""
Several lanes to one server, and values that are large for one lane.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sahool_cache import OutcomeUnknownError, RedisClient, UnavailableError
from sahool_cache.connection.lane import HIGH_WATER, Lane
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.pubsub import PubSub
from tests.integration.observe import eventually, within

LANES = 4


def lanes_of(redis: RedisClient) -> list[Lane]:
    assert redis.chain is not None
    member = redis.chain.fleet.master
    return list(member.node.lanes) if member is not None else []


@pytest_asyncio.fixture
async def redis(group: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    """
    A client with four lanes to each server of `group`.
    """
    async with RedisClient(group.settings.model_copy(update={"lanes": LANES})) as redis:
        assert await eventually(lambda: len(lanes_of(redis)) == LANES)
        yield redis


async def count_up(redis: RedisClient, name: str, stop: asyncio.Event) -> Counter[str]:
    """
    What became of each call on a counter that nobody else touches: no reply is another's.
    """
    seen, outcomes = 0, Counter[str]()
    while not stop.is_set():
        try:
            reply = await redis.incr(name)
        except OutcomeUnknownError:
            outcomes["unknown"] += 1
        except UnavailableError:
            outcomes["unavailable"] += 1
        else:
            assert type(reply) is int
            assert outcomes["unknown"] or outcomes["lost"] or reply == seen + 1
            outcomes["counted"] += 1
            outcomes["lost"] += reply <= seen  # the new master had not heard of it
            seen = reply
        assert await redis.echo(name) == name
    return outcomes


@pytest.mark.asyncio
async def test_four_lanes_through_a_crash(group: EmbeddedSentinel, redis: RedisClient) -> None:
    """
    Everybody gets their own replies and goes on; who blocks and who listens goes on, too.
    """
    stop = asyncio.Event()
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("news")
        callers = [asyncio.create_task(count_up(redis, f"c:{n}", stop)) for n in range(200)]
        popped = asyncio.create_task(redis.blpop("queue", timeout=0))
        assert await eventually(lambda: in_turns(redis, [0] * LANES))
        old = await group.kill_master()
        await group.wait_for_failover(old)
        assert await eventually(lambda: len(lanes_of(redis)) == LANES)
        before = [lane.answered for lane in lanes_of(redis)]
        assert await eventually(lambda: in_turns(redis, before))
        stop.set()
        with within(5):
            outcomes = await asyncio.gather(*callers)
        assert all(each["counted"] for each in outcomes)
        assert all(each["unknown"] <= 2 for each in outcomes)
        await redis.rpush("queue", "job")
        with within(3):
            assert await popped == ("queue", "job")
        assert await eventually_heard(redis, pubsub)
    assert [lane.in_flight for lane in lanes_of(redis)] == [0] * LANES


def in_turns(redis: RedisClient, before: list[int]) -> bool:
    """
    Whether more than one lane has served since then: the next tick takes one that waits for less.
    """
    served = [lane.answered - was for lane, was in zip(lanes_of(redis), before, strict=True)]
    return sum(count > 100 for count in served) > 1


async def eventually_heard(redis: RedisClient, pubsub: PubSub) -> bool:
    for _ in range(50):
        await redis.publish("news", "hello")
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message is not None and message["data"] == "hello":
            return True
    return False


@pytest.mark.asyncio
async def test_no_element_goes_to_a_caller_who_gave_up_whatever_lane_pushed_it(
    redis: RedisClient,
) -> None:
    """
    What is pushed after a blocked call was cancelled is there for the next, on any lane.
    """
    for attempt in range(40):
        blocked = asyncio.create_task(redis.blpop("queue", timeout=0))
        await asyncio.sleep(0.002 * (attempt % 3))
        blocked.cancel()
        await asyncio.gather(blocked, return_exceptions=True)
        pushes = [redis.rpush("queue", attempt), *(redis.get("k") for _ in range(attempt % 5))]
        await asyncio.gather(*pushes)
        assert await redis.lpop("queue") == str(attempt)


@pytest.mark.parametrize(("size", "lanes"), [(40_000, 1), (1_000_000, 1), (40_000, LANES)])
@pytest.mark.asyncio
async def test_many_callers_with_large_values_wait_in_line_not_in_memory(
    group: EmbeddedSentinel, size: int, lanes: int
) -> None:
    """
    What waits to be sent stays within the bound of each lane, whoever else wants to write.
    """
    settings = group.settings.model_copy(update={"lanes": lanes, "command_timeout": 30.0})
    callers, most, value = 40_000_000 // size * 3, 0, b"v" * size
    async with RedisClient(settings) as redis:
        await redis.wait_ready()

        async def call(number: int) -> object:
            return await redis.set(f"k:{number % 5}", value)

        calls = [asyncio.create_task(call(number)) for number in range(callers)]
        while not all(call.done() for call in calls):
            backlog = [lane._transport.get_write_buffer_size() for lane in lanes_of(redis)]
            joined = [sum(map(len, lane._buffer)) for lane in lanes_of(redis)]
            most = max([most, *backlog, *joined])
            await asyncio.sleep(0)
        assert await asyncio.gather(*calls) == [True] * callers
        assert most <= HIGH_WATER + size + 1000
        assert most > HIGH_WATER / 2, "nobody had to wait: too few callers for this test"
