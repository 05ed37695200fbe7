"""
Without Redis nothing is raised, the policy answers, and Redis is asked again when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, ReadOnlyError, ResponseError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import CircuitOpenError, OutcomeUnknownError, UnavailableError
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.outage import CALM, Outage, is_outage
from sahool_cache.recipes.limiting.result import RateLimitResult
from sahool_cache.recipes.rate_limiter import RateLimiter

LIMIT = Limit(40, 36_000)

Broken = Callable[[EmbeddedSentinel], Awaitable[None]]


async def killed(group: EmbeddedSentinel) -> None:
    await group.kill_master()


async def hung(group: EmbeddedSentinel) -> None:
    await group.pause(group.master)


def limiter_of(redis: RedisClient, policy: Any) -> RateLimiter:
    return RateLimiter(
        limits=[LIMIT],
        prefix=policy,
        on_outage=policy,
        processes=4,
        timeout=0.15,
        client=redis,
    )


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "sahool_cache.recipes" and record.levelno == level
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("broken", [killed, hung])
async def test_each_policy_answers_in_an_outage_and_redis_after_it(
    broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        EmbeddedSentinel(replicas=0, sentinels=1, down_after=5.0) as group,
        RedisClient(group.settings) as redis,
    ):
        limiters = {policy: limiter_of(redis, policy) for policy in ("allow", "deny", "local")}
        for limiter in limiters.values():
            assert (await limiter.acquire("u")).degraded is False
        await broken(group)
        results: dict[str, list[RateLimitResult]] = {}
        for policy, limiter in limiters.items():
            results[policy] = await asyncio.gather(*(limiter.acquire("u") for _ in range(50)))
            assert all(result.degraded for result in results[policy])
        assert all(results["allow"])
        assert not any(results["deny"])
        assert all(result.retry_after > 0 for result in results["deny"])
        assert sum(map(bool, results["local"])) == 10  # 40 for 4 processes
        await everything_else(limiters)
        assert len(lines(caplog, logging.WARNING)) == 3
        assert lines(caplog, logging.INFO) == []
        await group.restart(group.master)
        await redis.wait_ready(10)
        async with asyncio.timeout(20):
            for limiter in limiters.values():
                while limiter._outage.goes_on:
                    await limiter.peek("u")
                    await asyncio.sleep(0.01)
                assert (await limiter.acquire("u")).degraded is False
        assert len(limiters["local"]._outage.local._times) == 0
        assert len(lines(caplog, logging.INFO)) == 3
        assert len(lines(caplog, logging.WARNING)) == 3


async def everything_else(limiters: dict[str, RateLimiter]) -> None:
    for policy, limiter in limiters.items():
        state, given = await asyncio.gather(limiter.peek("u"), limiter.refund("u", 3))
        assert state.degraded
        assert given.degraded
        assert state.headers()["RateLimit"]
        waited = await limiter.wait("v", max_wait=0.3)
        assert waited.allowed is (policy != "deny")
        await limiter.reset("u")
        assert (await limiter.is_allowed("u")) is (policy != "deny")
    assert (await limiters["local"].peek("u")).remaining == 9


@pytest.mark.asyncio
async def test_a_failover_under_load_raises_nothing_and_admits_one_quota_more_at_most() -> None:
    async with EmbeddedSentinel(down_after=0.5, failover_timeout=3.0) as group:
        settings = group.settings.model_copy(update={"command_timeout": 5.0})
        async with RedisClient(settings) as redis:
            limiters = {
                name: RateLimiter(500, 36_000, name, on_outage="deny", client=redis)  # type: ignore[arg-type]
                for name in ("gcra", "sliding_window", "log")
            }
            passed = dict.fromkeys(limiters, 0)
            asked, stopped = 0, False

            async def caller(name: str) -> None:
                nonlocal asked
                while not stopped:
                    allowed = await limiters[name].is_allowed("u")
                    passed[name] += allowed
                    asked += 1
                    await asyncio.sleep(0.001)

            async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
                for name in list(limiters) * 5:
                    tasks.create_task(caller(name))
                while asked < 300:
                    await asyncio.sleep(0.01)
                old = await group.kill_master()
                await group.wait_for_failover(old)
                goal = asked + 3000
                while asked < goal:
                    await asyncio.sleep(0.01)
                stopped = True
            for name, limiter in limiters.items():
                result = await limiter.acquire("u")
                assert not result
                assert not result.degraded
                # Each of the five callers may have one that was counted twice, and what the new
                # master has not heard of passes again.
                assert 495 <= passed[name] <= 1000, name


@pytest.mark.asyncio
async def test_waiting_gives_up_in_time_when_redis_is_gone() -> None:
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        async with RedisClient(group.settings) as redis:
            limiter = RateLimiter(5, 60, on_outage="deny", timeout=0.1, client=redis)
            await group.kill_master()
            async with asyncio.timeout(10):
                refused = await limiter.wait("u", max_wait=1.5)
            assert not refused
            assert refused.degraded
        assert (await limiter.acquire("u")).degraded  # the client is closed


@pytest.mark.asyncio
async def test_what_was_cut_off_in_flight_is_asked_again_but_never_given_back_twice(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    limiter = RateLimiter(5, 60, client=redis)
    await limiter.acquire("u", 5)
    for call, repeated in ((limiter.acquire, True), (limiter.peek, True), (limiter.refund, False)):
        await calm.pause(calm.master)
        try:
            asking = asyncio.create_task(call("u"))
            node = redis.chain.fleet.master.node  # type: ignore[union-attr]
            async with asyncio.timeout(5):
                while not node.lanes[0].in_flight:
                    await asyncio.sleep(0)
            node.abort("cut by the test")
        finally:
            await calm.resume(calm.master)
        assert (await asking).degraded is not repeated
        await redis.wait_ready(5)


class Hands:
    """
    A clock that the test moves.
    """

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_over_when_nothing_has_failed_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    hands = Hands()
    outage = Outage((LIMIT,), "local", 1, name="api", now=hands)
    for _ in range(5):  # every second call fails
        outage.failed(UnavailableError("the master is gone"))
        hands.now += CALM / 2
        outage.served()
        assert outage.goes_on
    outage.local.take("u", 1, 0)
    hands.now += CALM / 2
    outage.served()
    assert not outage.goes_on
    assert len(outage.local._times) == 0
    (begun,), (ended,) = lines(caplog, logging.WARNING), lines(caplog, logging.INFO)
    assert "'api'" in begun
    assert "the master is gone" in begun
    assert "after 2.0 s" in ended


def test_a_denial_says_when_the_breaker_lets_somebody_try_again() -> None:
    outage = Outage((Limit(9, 60), LIMIT), "deny", 1, name="api", now=Hands())
    known = outage.answer("take", "u", 1, CircuitOpenError(retry_after=7.5))
    assert (known.retry_after, known.limit, known.remaining) == (7.5, 9, 0)
    unknown = outage.answer("take", "u", 1, OutcomeUnknownError("no answer"))
    assert unknown.retry_after == 1.0
    assert unknown.headers("x")["Retry-After"] == "1"


def test_an_outage_is_told_from_a_wrong_question() -> None:
    for error in (
        UnavailableError("down"),
        OutcomeUnknownError("lost"),
        BusyLoadingError("loading"),
        ReadOnlyError("a replica now"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but cannot"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("BUSY Redis is busy running a script."),
    ):
        assert is_outage(error)
    for error in (
        ResponseError("WRONGTYPE Operation against a key"),
        ResponseError("BUSYKEY Target key name already exists."),
    ):
        assert not is_outage(error)
