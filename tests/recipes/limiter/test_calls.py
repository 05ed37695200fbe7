"""
The calls themselves: what they cost, what they share, what is wrong with them.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import DataError, ResponseError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.rate_limiter import RateLimiter

ALGORITHMS = ["gcra", "sliding_window", "log"]

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)


async def evaluations(redis: RedisClient) -> dict[str, int]:
    stats = await redis.info("commandstats")
    return {
        name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]
        for name in ("evalsha", "eval", "del", "wait")
    }


@pytest.mark.asyncio
@every_algorithm
async def test_a_call_is_one_round_trip(redis: RedisClient, algorithm: Any) -> None:
    limiter = RateLimiter(algorithm=algorithm, limits=[Limit(5, 60), Limit(9, 3600)], client=redis)
    await limiter.acquire("warm")
    before = await evaluations(redis)
    for _ in range(10):
        await limiter.acquire("u")
    await limiter.peek("u")
    await limiter.refund("u", 2)
    after = await evaluations(redis)
    assert after["evalsha"] - before["evalsha"] == 12
    assert after["eval"] == before["eval"]
    await limiter.reset("u")
    assert (await evaluations(redis))["del"] - after["del"] == 1
    assert (await limiter.peek("u")).remaining == 5


@pytest.mark.asyncio
@every_algorithm
async def test_a_server_that_has_lost_the_script_is_told_it(
    redis: RedisClient, algorithm: Any
) -> None:
    limiter = RateLimiter(2, 60, algorithm, client=redis)
    assert await limiter.is_allowed("u")
    await redis.script_flush()
    assert await limiter.is_allowed("u")
    assert await limiter.is_allowed("u") is False


@pytest.mark.asyncio
@every_algorithm
@pytest.mark.parametrize("decode", [True, False])
async def test_tasks_share_a_limiter_however_the_client_decodes(
    calm: EmbeddedSentinel, redis: RedisClient, algorithm: Any, decode: bool
) -> None:
    settings = calm.settings.model_copy(update={"decode_responses": decode})
    async with RedisClient(settings) as client:
        limiter = RateLimiter(50, 3600, algorithm, client=lambda: client)
        results = await asyncio.gather(*(limiter.acquire("u") for _ in range(200)))
        assert sum(result.allowed for result in results) == 50
        assert sorted(result.remaining for result in results if result) == list(range(50))
        assert await limiter.is_allowed("someone else")


@pytest.mark.asyncio
@every_algorithm
async def test_a_large_cost_is_counted_in_full(redis: RedisClient, algorithm: Any) -> None:
    limiter = RateLimiter(12_345, 3600, algorithm, client=redis)
    assert (await limiter.acquire("u", 12_000)).remaining == 345
    refused = await limiter.acquire("u", 346)
    assert not refused
    assert 0 < refused.retry_after <= 7200
    assert (await limiter.refund("u", 12_345)).remaining == 12_345
    assert await redis.dbsize() == 0


@pytest.mark.asyncio
async def test_cancelled_calls_leave_the_limiter_as_it_should_be(redis: RedisClient) -> None:
    """
    Each is counted once or not at all.
    """
    limiter = RateLimiter(1000, 3600, "log", client=redis)
    finished = 0
    for turn in range(100):
        task = asyncio.create_task(limiter.acquire("u"))
        for _ in range(turn % 20):
            await asyncio.sleep(0)
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        finished += not isinstance(outcome, BaseException)
    assert finished <= 1000 - (await limiter.peek("u")).remaining <= 100


@pytest.mark.asyncio
async def test_waiting_takes_as_long_as_was_said_and_no_longer_than_allowed(
    redis: RedisClient,
) -> None:
    limiter = RateLimiter(2, 0.3, client=redis)
    started = time.monotonic()
    results = await asyncio.gather(*(limiter.wait("u", max_wait=30) for _ in range(6)))
    assert all(results)
    assert time.monotonic() - started >= 0.6 - 0.01  # four of them, one each 0.15 s
    slow = RateLimiter(1, 3600, client=redis)
    assert await slow.wait("u")
    for max_wait in (0, 5, timedelta(seconds=3599.0)):
        async with asyncio.timeout(5):
            refused = await slow.wait("u", max_wait=max_wait)
        assert not refused
        assert refused.retry_after > 3590
    waiting = asyncio.create_task(slow.wait("u"))
    await asyncio.wait({waiting}, timeout=0.1)
    assert not waiting.done()  # by default it waits as long as a window
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.asyncio
async def test_no_two_limiters_or_ids_share_a_key(redis: RedisClient) -> None:
    limiters = [
        RateLimiter(1, 60, client=redis),
        RateLimiter(1, 61, client=redis),
        RateLimiter(2, 60, client=redis),
        RateLimiter(1, 60, "log", client=redis),
        RateLimiter(1, 60, prefix="other", client=redis),
        RateLimiter(1, 60, prefix="rate_limit:gcra", client=redis),
        RateLimiter(11, 60, client=redis),
    ]
    ids = ["u", "u:", ":u", "u:1", "1/60000000:u", "gcra:1/60000000:u", "ä\U0001f600", " ", "\0"]
    ids += ["x" * 100_000, "x" * 99_999]
    keys = [key for limiter in limiters for name in ids for key in limiter._keys(name)]
    assert len(set(keys)) == len(limiters) * len(ids)
    for limiter in limiters:
        for name in ids:
            assert (await limiter.acquire(name)).remaining == limiter.limits[0].max_requests - 1
    assert await redis.dbsize() == len(keys)
    assert await redis.exists("rate_limit:gcra:1/60000000:u")  # as documented


@pytest.mark.asyncio
async def test_windows_that_are_the_same_time_are_the_same_limit(redis: RedisClient) -> None:
    assert Limit(5, 60) == Limit(5, 60.0) == Limit(5, timedelta(minutes=1))
    await RateLimiter(5, timedelta(minutes=1), client=redis).acquire("u")
    assert (await RateLimiter(5, 60, client=redis).peek("u")).remaining == 4


@pytest.mark.asyncio
async def test_a_wrong_call_says_what_is_wrong(redis: RedisClient) -> None:
    limiter = RateLimiter(limits=[Limit(5, 1), Limit(3, 60)], client=redis)
    for wrong in (5, b"u", None, ("u",)):
        for call in (limiter.acquire, limiter.peek, limiter.refund, limiter.reset, limiter.wait):
            with pytest.raises(TypeError, match="identifier"):
                await call(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="identifier"):
        await limiter.is_allowed("")
    with pytest.raises(DataError):
        await limiter.acquire("\ud800")  # no UTF-8
    for wrong in (0, -1, 4):
        for call in (limiter.acquire, limiter.refund, limiter.wait):
            with pytest.raises(ValueError, match=r"cost must be 1 to 3"):
                await call("u", wrong)
    for wrong in (1.0, True, "1", None):
        with pytest.raises(TypeError, match="cost"):
            await limiter.acquire("u", wrong)  # type: ignore[arg-type]
    for wrong in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="max_wait"):
            await limiter.wait("u", max_wait=wrong)
    assert await redis.dbsize() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"max_requests": 0}, ValueError, "max_requests"),
        ({"max_requests": -5}, ValueError, "max_requests"),
        ({"max_requests": 10_000_001}, ValueError, "max_requests"),
        ({"max_requests": 1.5}, TypeError, "max_requests"),
        ({"max_requests": True}, TypeError, "max_requests"),
        ({"max_requests": "5"}, TypeError, "max_requests"),
        ({"window": 0}, ValueError, "window"),
        ({"window": 0.0001}, ValueError, "window"),
        ({"window": -1}, ValueError, "window"),
        ({"window": math.nan}, ValueError, "window"),
        ({"window": math.inf}, ValueError, "window"),
        ({"window": 1e300}, ValueError, "window"),
        ({"window": timedelta(0)}, ValueError, "window"),
        ({"window": False}, TypeError, "window"),
        ({"window": "60"}, TypeError, "window"),
        ({"window": None}, TypeError, "window"),
        ({"algorithm": "fixed"}, ValueError, "algorithm must be one of gcra"),
        ({"algorithm": None}, ValueError, "algorithm"),
        ({"algorithm": ["gcra"]}, ValueError, "algorithm"),
        ({"limits": []}, ValueError, "limits"),
        ({"limits": [Limit(1, 1), Limit(1, 1.0)]}, ValueError, "limits"),
        ({"limits": [(1, 1)]}, TypeError, "limits"),
        ({"limits": Limit(1, 1)}, TypeError, "limits"),
        ({"prefix": ""}, ValueError, "prefix"),
        ({"prefix": "a/b"}, ValueError, "prefix"),
        ({"prefix": b"a"}, TypeError, "prefix"),
        ({"on_outage": "open"}, ValueError, "on_outage"),
        ({"processes": 0}, ValueError, "processes"),
        ({"processes": 1.5}, TypeError, "processes"),
        ({"processes": True}, TypeError, "processes"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": math.inf}, ValueError, "timeout"),
        ({"timeout": "1"}, ValueError, "timeout"),
        ({"client": "redis"}, TypeError, "client"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        RateLimiter(**arguments)


@pytest.mark.asyncio
@pytest.mark.parametrize("algorithm", ["gcra", "sliding_window"])
@pytest.mark.parametrize("found", ["", "rubbish", "1:2:3:4", "-1:0", "1.5:0:0"])
async def test_a_string_that_says_nothing_counts_as_none(
    redis: RedisClient, algorithm: Any, found: str
) -> None:
    limiter = RateLimiter(2, 60, algorithm, client=redis)
    await redis.set(limiter._keys("u")[0], found)
    assert [await limiter.is_allowed("u") for _ in range(3)] == [True, True, False]


@pytest.mark.asyncio
@every_algorithm
async def test_what_the_server_refuses_is_raised(
    calm: EmbeddedSentinel, redis: RedisClient, algorithm: Any
) -> None:
    limiter = RateLimiter(5, 60, algorithm, client=redis)
    await redis.hset(limiter._keys("u")[0], "a", "b")
    for call in (limiter.acquire, limiter.peek, limiter.refund):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await call("u")
    await redis.acl_setuser("app", enabled=True, nopass=True, keys=["other:*"], commands=["+@all"])
    settings = calm.settings.model_copy(update={"username": "app", "password": "any"})
    async with RedisClient(settings) as client:
        limiter = RateLimiter(5, 60, algorithm, client=client)
        for call in (limiter.acquire, limiter.reset):
            with pytest.raises(ResponseError, match=r"(?i)permission"):
                await call("u")


@pytest.mark.asyncio
@every_algorithm
async def test_a_server_whose_memory_is_full_is_an_outage(
    redis: RedisClient, algorithm: Any
) -> None:
    limiter = RateLimiter(5, 60, algorithm, on_outage="deny", client=redis)
    assert await limiter.acquire("u")
    await redis.config_set("maxmemory", 1)
    try:
        refused = await limiter.acquire("u")
    finally:
        await redis.config_set("maxmemory", 0)
    assert (refused.allowed, refused.degraded) == (False, True)
    assert await limiter.acquire("u")


@pytest.mark.asyncio
async def test_a_client_with_durable_writes_does_not_wait_for_replicas(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    settings = calm.settings.model_copy(update={"durability": 1})
    async with RedisClient(settings) as client:
        limiter = RateLimiter(5, 60, client=client)
        before = (await evaluations(redis))["wait"]
        assert await limiter.is_allowed("u")
        await limiter.reset("u")
        assert (await evaluations(redis))["wait"] == before


@pytest.mark.asyncio
async def test_a_limiter_follows_the_client_that_it_is_given(calm: EmbeddedSentinel) -> None:
    """
    One made at import serves one client after another.
    """
    clients: list[RedisClient] = []
    limiter = RateLimiter(5, 3600, client=lambda: clients[-1])
    for turn in range(3):
        async with RedisClient(calm.settings) as client:
            clients.append(client)
            assert (await limiter.acquire("followed")).remaining == 4 - turn
