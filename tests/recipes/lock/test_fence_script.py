"""
The numbers of lock_acquire.lua: they only grow, and are exact as far as they go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.scripts import LuaScript
from sahool_cache.routing.topology import Topology
from tests.recipes.lock.owners import calls

ACQUIRE, RENEW, RELEASE = map(LuaScript, ("lock_acquire", "lock_renew", "lock_release"))
END = 2**53
TOKENS = count()


async def ask(redis: RedisClient, epoch: int, token: str = "", asked: object = "") -> list[Any]:
    token = token or f"token {next(TOKENS)}"
    keys = ["lock:n", "lock-fence", f"lock-released:{token}"]
    reply: list[Any] = await ACQUIRE(redis, keys, [token, 10_000, str(epoch), str(asked)])
    return reply


async def acquire(redis: RedisClient, epoch: int, token: str = "") -> int:
    """
    The fence, or 0; the sentinels have been asked, where the server wanted that.
    """
    token = token or f"token {next(TOKENS)}"
    first, second, *_ = await ask(redis, epoch, token)
    if first == -1:
        first, *_ = await ask(redis, epoch, token, asked=second)
    return int(first)


async def stored(redis: RedisClient, fence: int) -> None:
    await redis.delete("lock:n", "lock-fence")
    await acquire(redis, 0)
    await redis.delete("lock:n")
    await redis.hset("lock-fence", "fence", str(fence))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def open_redis(runner: asyncio.Runner, calm: EmbeddedSentinel) -> Iterator[RedisClient]:
    redis = RedisClient(calm.settings)
    runner.run(redis.open())
    yield redis
    runner.run(redis.aclose())


large = st.one_of(
    st.integers(0, END - 2),
    st.integers(0, 2**21 - 1).flatmap(
        lambda epoch: st.integers(max(0, (epoch << 32) - 3), (epoch << 32) + 3)
    ),
    st.integers(END - 50, END - 2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=large,
    epochs=st.lists(
        st.one_of(st.integers(0, 2**21 - 1), st.integers(0, 5)), min_size=1, max_size=5
    ),
)
def test_each_number_is_the_next_or_the_first_of_its_epoch(
    runner: asyncio.Runner, open_redis: RedisClient, before: int, epochs: list[int]
) -> None:
    async def play() -> None:
        await stored(open_redis, before)
        last = before
        for epoch in epochs:
            expected = max(last + 1, epoch << 32)
            if expected >= END:
                with pytest.raises(ResponseError, match="FENCE"):
                    await acquire(open_redis, epoch)
                assert await open_redis.exists("lock:n") == 0
                continue
            fence = await acquire(open_redis, epoch)
            assert fence == expected > last
            assert await open_redis.hget("lock-fence", "fence") == str(expected)
            await open_redis.delete("lock:n")
            last = fence

    runner.run(play())


@pytest.mark.asyncio
async def test_a_repeat_of_the_owner_gets_a_higher_number_and_a_new_lease(
    redis: RedisClient,
) -> None:
    first = await acquire(redis, 3, "mine")
    await redis.pexpire("lock:n", 50)
    again = await acquire(redis, 3, "mine")
    assert again == first + 1 == (3 << 32) + 1
    assert await redis.pttl("lock:n") > 5000
    assert await acquire(redis, 3, "other") == 0
    assert await redis.hget("lock-fence", "fence") == str(again)


@pytest.mark.asyncio
async def test_numbers_that_cannot_be_are_refused(redis: RedisClient) -> None:
    for epoch in (2**21, 2**40, 2**60):
        with pytest.raises(ResponseError, match="FENCE"):
            await acquire(redis, epoch)
    for garbage in ("x", "-1", "1.5", "nan", "inf", "", str(END)):
        await redis.hset("lock-fence", "fence", garbage)
        with pytest.raises(ResponseError, match="FENCE"):
            await acquire(redis, 1)
    assert await redis.exists("lock:n") == 0
    await redis.delete("lock-fence")
    await redis.set("lock-fence", 1)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await acquire(redis, 1)


@pytest.mark.asyncio
async def test_another_server_gives_no_number_for_an_epoch_that_is_not_newer(
    redis: RedisClient,
) -> None:
    """
    As after a promotion that the caller slept through; once it has asked the sentinels, it may.
    The counter may have been lost altogether.
    """
    first, server = await ask(redis, 7)
    assert (first, len(str(server))) == (-1, 40)
    fence, *_ = await ask(redis, 7, asked=server)
    assert fence == 7 << 32
    await redis.delete("lock:n")
    await redis.hset("lock-fence", "server", "f" * 40)
    for epoch in (6, 7):
        assert await ask(redis, epoch) == [-1, server]
    assert await redis.exists("lock:n") == 0
    assert await ask(redis, 7, asked="0" * 40) == [-1, server]
    assert (await ask(redis, 7, asked=server))[0] == fence + 1
    await redis.delete("lock:n")
    assert (await ask(redis, 6))[0] == fence + 2  # it goes on with its own
    await redis.delete("lock:n")
    await redis.hset("lock-fence", "server", "f" * 40)
    assert (await ask(redis, 8))[0] == 8 << 32


class Restless(RedisClient):
    """
    Sees the group change `changes` times, each time it looks.
    """

    changes = 0

    @property
    def topology(self) -> Topology:
        if not self.changes:
            return super().topology
        self.changes -= 1
        return replace(super().topology)


@pytest.mark.asyncio
async def test_a_number_counts_only_if_the_group_did_not_change_meanwhile(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    async with Restless(calm.settings) as restless:
        lock = DistributedLock("n", client=restless)
        async with lock:
            last = lock.fence
        restless.changes = 4  # before and after two calls
        await redis.config_resetstat()
        async with lock:
            assert lock.fence == last + 3
            assert await calls(redis) == 3
        assert await redis.exists("lock:n") == 0


@pytest.mark.asyncio
async def test_a_release_may_be_repeated_and_a_late_acquisition_takes_nothing(
    redis: RedisClient,
) -> None:
    async def release(token: str) -> int:
        reply: int = await RELEASE(
            redis, ["lock:n", f"lock-released:{token}"], [token, 300, "lock:n:free"]
        )
        return reply

    await acquire(redis, 1, "mine")
    assert await release("other") == 0
    assert [await release("mine") for _ in range(3)] == [1, 1, 1]
    assert await acquire(redis, 1, "mine") == 0
    await acquire(redis, 1, "next")
    assert await release("mine") == 1  # it was: the next owner keeps its own
    assert await redis.get("lock:n") == "next"
    assert await release("other") == 0
    assert await RENEW(redis, ["lock:n"], ["mine", 100]) == 0
    assert await RENEW(redis, ["lock:n"], ["next", 100_000]) == 1
    assert await redis.pttl("lock:n") > 50_000


@pytest.mark.asyncio
async def test_a_release_tells_all_who_wait_or_only_the_first_in_the_queue(
    redis: RedisClient,
) -> None:
    async with redis.pubsub() as pubsub, asyncio.timeout(5):
        await pubsub.psubscribe("lock:n:free*")
        messages = pubsub.listen()
        await anext(messages)
        for queue in ([], ["lock-queue:n", "lock-patience:n"]):
            await redis.zadd("lock-queue:n", {"first": 1, "second": 2})
            await redis.zadd("lock-patience:n", {"first": 1e15, "second": 1e15})
            await redis.set("lock:n", "mine", px=10_000)
            keys = ["lock:n", "lock-released:mine", *queue]
            assert await RELEASE(redis, keys, ["mine", 300, "lock:n:free"]) == 1
            told = "lock:n:free:first" if queue else "lock:n:free"
            assert (await anext(messages))["channel"] == told
    await redis.delete("lock-queue:n", "lock-patience:n")


@pytest.mark.asyncio
async def test_whoever_gets_a_fair_lock_has_left_its_queue(redis: RedisClient) -> None:
    """
    If it dies, those behind it wait for the end of its lease only.
    """
    await acquire(redis, 1)  # the counter is there
    keys = ["lock:n", "lock-fence", "lock-released:mine", "lock-queue:n", "lock-patience:n"]
    args = ["mine", 10_000, "1", "", 5000, "lock:n:free"]
    assert (await ACQUIRE(redis, keys, args))[0] == 0
    assert await redis.zrange("lock-queue:n", 0, -1) == ["mine"]
    await redis.delete("lock:n")
    assert (await ACQUIRE(redis, keys, args))[0] > 0
    assert await redis.exists("lock-queue:n", "lock-patience:n") == 0
