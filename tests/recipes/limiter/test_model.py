"""
Whatever is asked and however the clock moves: a real server says what the exact model says.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.result import RateLimitResult
from sahool_cache.recipes.rate_limiter import RateLimiter
from tests.recipes.limiter.clock import VirtualClock
from tests.recipes.limiter.models import MODELS, Model

EXAMPLES = int(os.environ.get("LIMITER_EXAMPLES", "60"))
"""Sequences for each algorithm."""

TAKES_NO_MORE = {"gcra": 60, "sliding_window": 60}
"""Bytes of a key's value; a log has as many entries as requests."""

limits = st.lists(
    st.builds(
        Limit,
        st.sampled_from([1, 2, 3, 5, 7, 10, 97, 1000, 10_000_000]) | st.integers(1, 12),
        st.sampled_from([0.001, 0.007, 1.0, 60.0, 86_400.0, 3600.000001, 3650 * 86_400.0])
        | st.integers(1000, 10_000).map(lambda us: us / 1e6),
    ),
    min_size=1,
    max_size=3,
    unique=True,
)
steps = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("take"), st.just(10_000_000)),  # as much as the limits ever allow
    st.tuples(st.just("peek"), st.just(1)),
    st.tuples(st.just("refund"), st.integers(1, 5)),
    st.tuples(st.just("reset"), st.just(0)),
    st.tuples(st.just("until it passes"), st.integers(1, 4)),
    st.tuples(st.just("clock"), st.integers(-3, 3)),
    st.tuples(st.just("clock"), st.integers(-2000, 20_000)),
    st.tuples(st.just("windows"), st.fractions(-2, 3, max_denominator=12)),
)


class Course:
    """
    One id, as the server and as the models see it.
    """

    def __init__(self, redis: RedisClient, algorithm: str, limits: list[Limit], name: str) -> None:
        self.redis = redis
        self.clock = VirtualClock(redis)
        self.limiter = RateLimiter(algorithm=algorithm, limits=limits, client=redis)
        self.models: dict[Limit, Model] = {
            limit: MODELS[algorithm](limit.max_requests, limit.microseconds) for limit in limits
        }
        self.by_key = dict(zip(self.limiter._keys(name), self.models.values(), strict=True))
        self.name = name
        self.went_back = False
        self.most = min(limit.max_requests for limit in limits)
        if algorithm == "log":  # the model is a list as well
            self.most = min(self.most, 2000)

    async def play(self, steps: list[tuple[str, int]]) -> None:
        await self.clock.rules(self.limiter)
        for what, number in steps:
            cost = min(max(1, int(number)), self.most)
            match what:
                case "take":
                    await self.take(cost)
                case "peek":
                    self.check(await self.limiter.peek(self.name), 1, took=False)
                case "refund":
                    for model in self.seen():
                        model.refund(cost, self.clock.now)
                    self.check(await self.limiter.refund(self.name, cost), cost, took=False)
                case "reset":
                    await self.limiter.reset(self.name)
                    await self.redis.hdel("virtual:expiry", *self.by_key)
                    for model in self.models.values():
                        model.forget()
                case "until it passes":
                    await self.until_it_passes(cost)
                case "clock":
                    await self.move(number)
                case "windows":
                    await self.move(int(number * min(m.window for m in self.models.values())))
            await self.check_keys()

    def seen(self) -> list[Model]:
        for model in self.models.values():
            model.see(self.clock.now)
        return list(self.models.values())

    async def move(self, by: int) -> None:
        self.went_back |= by < 0
        for key in await self.clock.set(self.clock.now + by):
            assert self.by_key[key].load(self.clock.now) == 0, f"{key} has expired too early"
            self.by_key[key].forget()

    async def take(self, cost: int) -> RateLimitResult:
        models, now = self.seen(), self.clock.now
        allowed = all(model.fits(cost, now) for model in models)
        if allowed:
            for model in models:
                model.take(cost, now)
        result = await self.limiter.acquire(self.name, cost)
        assert result.allowed is allowed
        self.check(result, cost, took=allowed)
        return result

    async def until_it_passes(self, cost: int) -> None:
        """
        At the moment of which a refusal speaks it passes, and a microsecond earlier it does not.
        """
        result = await self.take(cost)
        if not result.allowed:
            await self.move(round(result.retry_after * 1e6) - 1)
            assert not await self.take(cost)
            await self.move(1)
            assert await self.take(cost)

    def check(self, result: RateLimitResult, cost: int, *, took: bool) -> None:
        models, now = self.seen(), self.clock.now
        if not took:
            assert result.allowed is all(model.fits(cost, now) for model in models)
        model = self.models[result.reported]
        assert result.remaining == model.remaining(now)
        assert round(result.reset_after * 1e6) == model.reset_after(now)
        waits = [0 if took else model.retry_after(cost, now) for model in models]
        assert round(result.retry_after * 1e6) == max(waits)
        if result.allowed:
            assert result.remaining == min(model.remaining(now) for model in models)

    async def check_keys(self) -> None:
        """
        Each ends when it says nothing any more, and is small until then.
        """
        expiries, now = await self.clock.expiries(), self.clock.now
        there = [key for key in self.by_key if await self.redis.exists(key)]
        assert set(there) == expiries.keys()
        for key, at in expiries.items():
            model = self.by_key[key]
            assert await self.redis.pttl(key) > 0
            if not self.went_back:
                assert 0 <= at - (now + model.reset_after(now)) <= 2000
            if self.limiter.algorithm == "log":
                assert await self.redis.llen(key) <= model.most
            else:
                assert await self.redis.strlen(key) <= TAKES_NO_MORE[self.limiter.algorithm]


@pytest.fixture(scope="module")
def runner(calm: EmbeddedSentinel) -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def client(runner: asyncio.Runner, calm: EmbeddedSentinel) -> Iterator[RedisClient]:
    client = RedisClient(calm.settings)
    runner.run(client.open())
    yield client
    runner.run(client.aclose())


numbers = count()


@pytest.mark.parametrize("algorithm", MODELS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(limits=limits, steps=st.lists(steps, min_size=5, max_size=30))
def test_a_real_server_says_what_the_model_says(
    runner: asyncio.Runner,
    client: RedisClient,
    algorithm: str,
    limits: list[Limit],
    steps: list[tuple[str, int]],
) -> None:
    course = Course(client, algorithm, limits, f"id:{next(numbers)}")
    runner.run(course.play(steps))
