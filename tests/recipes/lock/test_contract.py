"""
What callers may rely on: arguments, errors, what stands at the server, foreign keys.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest
from redis import exceptions as redis_errors

from sahool_cache import RedisClient, SahoolCacheError, UsageError
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import LockError, LockLostError, LockNotAcquiredError
from sahool_cache.recipes.distributed_lock import DistributedLock
from tests.integration.observe import within
from tests.recipes.lock.owners import apart, calls, nothing_left

WRONG: tuple[tuple[str, Any, type[Exception]], ...] = (
    *(("name", value, TypeError) for value in (None, 7, b"x")),
    ("name", "", ValueError),
    *(("timeout", value, ValueError) for value in (0, -1, 1e-6, math.inf, math.nan, True, "10")),
    ("timeout", 1e300, ValueError),
    *(("wait", value, ValueError) for value in (-0.1, math.inf, math.nan)),
    *(("wait", value, TypeError) for value in (True, "1")),
    *(("fair", value, TypeError) for value in (1, None)),
    *(("require_replicas", value, TypeError) for value in (1.5, True, "most", None)),
    ("require_replicas", -1, ValueError),
    ("prefix", "", ValueError),
    ("prefix", 1, TypeError),
    ("client", "redis://", TypeError),
)


@pytest.mark.parametrize(("argument", "value", "error"), WRONG)
def test_a_wrong_argument_is_named(argument: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=argument):
        DistributedLock(**{"name": "n", argument: value})


def test_the_errors_are_those_of_redis_py_as_well() -> None:
    assert issubclass(LockError, SahoolCacheError)
    assert issubclass(LockNotAcquiredError, LockError)
    assert issubclass(LockNotAcquiredError, redis_errors.LockError)
    assert issubclass(LockLostError, redis_errors.LockNotOwnedError)
    error = LockLostError("told", "name")
    assert (str(error), error.lock_name) == ("told", "name")
    assert repr(error) == "LockLostError('told')"


@pytest.mark.asyncio
async def test_the_lock_is_a_plain_string_with_a_time_to_live(redis: RedisClient) -> None:
    async with DistributedLock("a:b", timeout=timedelta(seconds=7), client=redis) as lock:
        token = await redis.get("lock:a:b")
        assert isinstance(token, str)
        assert len(token) == 32
        assert 6000 < await redis.pttl("lock:a:b") <= 7000
        assert token not in repr(lock)
        assert lock.owned
        first = lock.fence
        assert await redis.set("lock:a:b", "other", nx=True, px=100) is None
    assert not lock.owned
    assert await redis.exists("lock:a:b") == 0
    async with lock:
        assert lock.fence > first
        assert await redis.get("lock:a:b") != token
    assert await redis.ttl("lock-fence") == -1
    with pytest.raises(UsageError, match="does not hold"):
        _ = lock.fence


@pytest.mark.asyncio
async def test_another_prefix_has_other_keys_and_another_counter(redis: RedisClient) -> None:
    async with DistributedLock("n", client=redis), DistributedLock("n", prefix="app", client=redis):
        assert await redis.exists("lock:n", "app:n", "lock-fence", "app-fence") == 4
    assert await nothing_left(redis)


@pytest.mark.asyncio
async def test_the_client_may_be_given_by_a_function(redis: RedisClient) -> None:
    lock = DistributedLock("n", client=lambda: redis)
    assert await lock.acquire()
    assert await lock.release()
    assert not await lock.release()


@pytest.mark.asyncio
async def test_taking_and_giving_back_cost_a_round_trip_each(redis: RedisClient) -> None:
    lock = DistributedLock("n", client=redis)
    async with lock:
        pass
    await redis.config_resetstat()
    for _ in range(10):
        async with lock:
            pass
    assert await calls(redis) == 20


@pytest.mark.asyncio
async def test_asking_once_does_not_wait(redis: RedisClient) -> None:
    held = DistributedLock("n", client=redis)
    async with held:
        once = DistributedLock("n", wait=0, client=redis)
        await redis.config_resetstat()
        with within(1):
            assert await apart(once.acquire()) is False
        assert await calls(redis) == 1
        with within(1), pytest.raises(LockNotAcquiredError, match="'n'") as caught:
            await once.__aenter__()
        assert caught.value.lock_name == "n"
    assert await once.acquire()
    assert await once.release()


@pytest.mark.asyncio
async def test_waiting_ends_in_time(redis: RedisClient) -> None:
    async with DistributedLock("n", client=redis):
        for fair in (False, True):
            brief = DistributedLock("n", wait=0.2, fair=fair, client=redis)
            with within(1):
                assert await apart(brief.acquire()) is False
    assert await nothing_left(redis)


@pytest.mark.asyncio
async def test_it_is_not_reentrant(redis: RedisClient) -> None:
    lock = DistributedLock("n", wait=0.1, client=redis)
    async with lock:
        fence = lock.fence
        assert await lock.acquire() is False
        assert (lock.fence, lock.owned) == (fence, True)
    assert await nothing_left(redis)


@pytest.mark.asyncio
async def test_a_lock_that_others_have_set_is_waited_for(redis: RedisClient) -> None:
    """
    By its time to live; without one it is looked at once a second, and never beyond the wait.
    """
    lock = DistributedLock("n", wait=3, client=redis)
    await redis.set("lock:n", "somebody", px=300)
    with within(1):
        assert await lock.acquire()
    assert await lock.release()
    await redis.set("lock:n", b"\xff\x00 binary \r\n")
    await redis.config_resetstat()
    with within(2):
        assert await DistributedLock("n", wait=0.5, client=redis).acquire() is False
    assert await calls(redis) <= 3
    await redis.delete("lock:n")
    assert await lock.acquire()
    assert await lock.release()


@pytest.mark.asyncio
async def test_another_type_at_the_key_is_an_error(redis: RedisClient) -> None:
    """
    It is no lock and nobody will release it: raised at once, and nothing is changed.
    """
    await redis.rpush("lock:n", "item")
    for fair in (False, True):
        with within(1), pytest.raises(redis_errors.ResponseError, match="WRONGTYPE"):
            await DistributedLock("n", fair=fair, client=redis).acquire()
    assert await redis.lrange("lock:n", 0, -1) == ["item"]
    await redis.delete("lock:n")
    lost = DistributedLock("n", timeout=0.6, client=redis)

    async def body() -> None:
        async with lost:
            await redis.delete("lock:n")
            await redis.rpush("lock:n", "item")
            await asyncio.Event().wait()

    with within(1), pytest.raises(LockLostError):
        await body()
    assert await redis.lrange("lock:n", 0, -1) == ["item"]


@pytest.mark.asyncio
async def test_replies_may_be_bytes(calm: EmbeddedSentinel, redis: RedisClient) -> None:
    settings = calm.settings.model_copy(update={"decode_responses": False})
    async with RedisClient(settings) as raw:
        for fair in (False, True):
            async with DistributedLock("n", fair=fair, client=raw) as lock:
                assert type(lock.fence) is int
                waiter = apart(DistributedLock("n", fair=fair, client=raw).acquire())
                await wait_for_subscriber(redis)
            assert await waiter
            await redis.delete("lock:n")


async def wait_for_subscriber(redis: RedisClient) -> None:
    async with asyncio.timeout(5):
        while not await redis.pubsub_channels("lock:n:free*"):
            await asyncio.sleep(0.01)
