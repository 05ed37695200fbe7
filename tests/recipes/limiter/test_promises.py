"""
What each algorithm promises of any stretch of time, whoever asks and whenever.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from sahool_cache import RedisClient
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.rate_limiter import RateLimiter
from tests.recipes.limiter.clock import VirtualClock

Passed = list[tuple[int, int]]
"""When something passed, in microseconds, and its cost."""

MOST, WINDOW = 7, 1_000_003


async def hammered(redis: RedisClient, algorithm: str, seed: int) -> Passed:
    """
    What passes where calls come in bursts, evenly, and at the moment at which one is told to.
    """
    chance = random.Random(seed)
    limiter = RateLimiter(MOST, WINDOW / 1e6, algorithm, client=redis)  # type: ignore[arg-type]
    clock = VirtualClock(redis)
    await clock.rules(limiter)
    passed: Passed = []
    for _ in range(250):
        cost = chance.choice([1, 1, 1, 2, 5])
        result = await limiter.acquire(f"hammered:{seed}", cost)
        if result:
            passed.append((clock.now, cost))
            step = chance.choice([0, 0, chance.randrange(WINDOW // 3)])
        else:
            step = chance.choice([round(result.retry_after * 1e6), chance.randrange(WINDOW // 5)])
        await clock.set(clock.now + step)
    return passed


def stretches(passed: Passed) -> list[tuple[int, int]]:
    """
    Each stretch from one that passed to another, both included: its length, and what passed in it.
    """
    found = []
    for first, (start, _) in enumerate(passed):
        total = 0
        for at, cost in passed[first:]:
            total += cost
            found.append((at - start, total))
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(2))
async def test_gcra_lets_pass_its_rate_and_one_burst(redis: RedisClient, seed: int) -> None:
    found = stretches(await hammered(redis, "gcra", seed))
    assert all(total <= MOST * (1 + Fraction(length, WINDOW)) for length, total in found)
    # Not much less, either: the rate is used in full by those who come when they are told to.
    length, total = max(found)
    assert total > Fraction(length, WINDOW) * MOST / 2


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(2))
async def test_a_log_lets_never_more_pass_in_any_window(redis: RedisClient, seed: int) -> None:
    found = stretches(await hammered(redis, "log", seed))
    assert max(total for length, total in found if length < WINDOW) == MOST


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(2))
async def test_a_sliding_window_lets_less_than_twice_pass(redis: RedisClient, seed: int) -> None:
    found = stretches(await hammered(redis, "sliding_window", seed))
    assert MOST <= max(total for length, total in found if length < WINDOW) < 2 * MOST


@pytest.mark.asyncio
@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "log"])
async def test_what_one_limit_refuses_is_counted_in_none(
    redis: RedisClient, algorithm: str
) -> None:
    both = [Limit(3, 3600), Limit(5, 7200)]
    limiter = RateLimiter(limits=both, algorithm=algorithm, client=redis)  # type: ignore[arg-type]
    assert [bool(await limiter.acquire("u")) for _ in range(9)] == [True] * 3 + [False] * 6
    alone = RateLimiter(limits=both[1:], algorithm=algorithm, client=redis)  # type: ignore[arg-type]
    assert (await alone.peek("u")).remaining == 2
    refused = await limiter.acquire("u")
    assert (refused.reported, refused.remaining) == (both[0], 0)
    await alone.acquire("u", 2)  # the same key
    refused = await limiter.acquire("u")
    assert (refused.reported, refused.limits) == (both[1], tuple(both))


@pytest.mark.asyncio
@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window", "log"])
async def test_a_clock_far_back_refuses_nobody_for_long(redis: RedisClient, algorithm: str) -> None:
    """
    A failover to a server whose clock is a day behind.
    """
    limiter = RateLimiter(10, 60, algorithm, client=redis)  # type: ignore[arg-type]
    clock = VirtualClock(redis)
    await clock.rules(limiter)
    assert await limiter.acquire("u", 10)
    await clock.set(clock.now - 86_400_000_000)
    assert not await limiter.acquire("u")
    windows = 2 if algorithm == "sliding_window" else 1
    await clock.set(clock.now + windows * 60_000_000)
    assert await limiter.acquire("u", 10)
