"""
Whose lock it is: tasks that share an object, children, loss, and locks that are forgotten.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import traceback
from collections.abc import AsyncIterator

import anyio
import pytest

from sahool_cache import RedisClient, UsageError
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import LockLostError, OutcomeUnknownError, UnavailableError
from sahool_cache.recipes.distributed_lock import DistributedLock
from tests.integration.observe import eventually, other_tasks, within
from tests.recipes.lock.owners import apart, nothing_left

pytestmark = pytest.mark.asyncio


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_tasks_that_share_an_object_cannot_release_each_others_lock(
    redis: RedisClient,
) -> None:
    lock = DistributedLock("n", client=redis)
    done = asyncio.Event()
    seen: list[int] = []

    async def owner() -> bool:
        assert await lock.acquire()
        seen.append(lock.fence)
        await done.wait()
        return await lock.release()

    async def other() -> None:
        assert await lock.release() is False
        assert not lock.owned
        with pytest.raises(UsageError, match="does not hold"):
            _ = lock.fence

    owning = apart(owner())
    assert await eventually(lambda: seen)
    await apart(other())
    waiting = apart(owner())
    done.set()
    assert await owning
    assert await waiting
    assert seen[0] < seen[1]


async def test_a_forked_child_has_not_got_its_parents_lock(redis: RedisClient) -> None:
    async with DistributedLock("n", client=redis) as lock:
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            os.write(writes, b"owned" if lock.owned else b"none")
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert os.read(reads, 10) == b"none"
        assert lock.owned
        os.close(reads)
        os.close(writes)


async def test_children_have_the_lock_as_well(redis: RedisClient) -> None:
    lock = DistributedLock("n", client=redis)

    async def child() -> tuple[int, bool]:
        return lock.fence, lock.owned

    async with lock:
        assert await asyncio.create_task(child()) == (lock.fence, True)
        assert await asyncio.create_task(lock.release())
        assert not lock.owned


async def test_wait_for_and_gather_leave_the_lock_to_the_caller(redis: RedisClient) -> None:
    """
    On Python 3.11 `wait_for` runs the coroutine in a task of its own.
    """
    lock = DistributedLock("n", client=redis)
    assert await asyncio.wait_for(lock.acquire(), 5)
    assert lock.owned
    assert await apart(lock.release()) is False
    assert await asyncio.wait_for(lock.release(), 5)
    assert await asyncio.gather(lock.acquire()) == [True]
    assert await lock.release()
    with pytest.raises(TimeoutError):
        async with DistributedLock("n", client=redis):
            await asyncio.wait_for(lock.acquire(), 0.1)
    assert await nothing_left(redis)


async def test_an_acquisition_outlives_its_task_and_is_anybodys_then(redis: RedisClient) -> None:
    lock = DistributedLock("n", timeout=0.5, client=redis)

    async def acquire() -> int:
        assert await lock.acquire()
        return lock.fence

    await apart(acquire())
    await redis.delete("lock:n")
    assert await eventually(lambda: not lock.owned)  # lost, and nobody gives it back
    assert await apart(acquire()) == lock.fence
    assert await lock.release()

    async def scoped() -> AsyncIterator[int]:
        async with lock:
            yield lock.fence

    fixture = scoped()
    fence = await apart(anext(fixture))  # type: ignore[arg-type]
    assert lock.fence == fence
    with pytest.raises(StopAsyncIteration):
        await apart(anext(fixture))  # type: ignore[arg-type]
    assert await nothing_left(redis)


async def test_a_fence_stays_readable_after_loss_and_is_never_anothers(redis: RedisClient) -> None:
    lock = DistributedLock("n", timeout=1, client=redis)
    assert await lock.acquire()
    fence = lock.fence
    await redis.delete("lock:n")
    assert await eventually(lambda: not lock.owned)

    async def next_owner() -> int:
        async with lock:
            return lock.fence

    assert await apart(next_owner()) > fence
    assert lock.fence == fence
    assert await lock.release() is False
    with pytest.raises(UsageError):
        _ = lock.fence


async def test_a_lost_lease_cancels_the_body(redis: RedisClient) -> None:
    cleaned = []

    async def body() -> None:
        async with DistributedLock("n", timeout=0.6, client=redis):
            await redis.set("lock:n", "somebody else")
            try:
                await for_ever()
            finally:
                cleaned.append(True)

    with within(1), pytest.raises(LockLostError, match="'n'") as caught:
        await body()
    assert cleaned
    assert caught.value.lock_name == "n"
    assert "await for_ever()" in "".join(traceback.format_exception(caught.value))
    assert await redis.get("lock:n") == "somebody else"
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_body_that_ends_although_the_lock_was_lost_is_told(redis: RedisClient) -> None:
    """
    Normally, with an error of its own, or having caught the cancellation. What is no error of
    the body goes on.
    """
    lock = DistributedLock("n", client=redis)
    brief = DistributedLock("n", timeout=0.3, client=redis)

    async def body(error: BaseException | None) -> None:
        async with lock:
            await redis.delete("lock:n")
            if error is not None:
                raise error

    async def catches() -> None:
        async with brief:
            await redis.delete("lock:n")
            try:
                await for_ever()
            except asyncio.CancelledError as error:
                raise KeyError("own") from error

    with pytest.raises(LockLostError):
        await body(None)
    with pytest.raises(LockLostError) as caught:
        await body(KeyError("own"))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(LockLostError) as caught:
        await catches()
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(KeyboardInterrupt):
        await body(KeyboardInterrupt())
    with pytest.raises(KeyError):
        async with lock:
            raise KeyError("own")


async def test_a_body_may_release_by_itself(redis: RedisClient) -> None:
    async with DistributedLock("n", timeout=0.2, client=redis) as lock:
        assert await lock.release()
        async with DistributedLock("n", client=redis):
            await asyncio.sleep(0.3)  # beyond the end of the lease that there was


async def test_a_loop_that_stood_still_beyond_the_lease_has_lost(redis: RedisClient) -> None:
    lock = DistributedLock("n", timeout=0.2, client=redis)

    async def body() -> None:
        async with lock:
            time.sleep(0.3)  # noqa: ASYNC251
            assert not lock.owned

    with pytest.raises(LockLostError):
        await body()
    assert await lock.acquire()
    time.sleep(0.3)  # noqa: ASYNC251
    assert await lock.release() is False
    assert await nothing_left(redis)


async def test_a_body_that_ended_within_the_lease_has_not_lost(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Although the server could not be asked to release it until the lease was over.
    """
    lock = DistributedLock("n", timeout=0.3, client=redis)
    async with lock:
        await calm.pause(calm.master)
    await calm.resume(calm.master)
    await redis.wait_ready(5)
    assert await lock.acquire()
    await calm.pause(calm.master)
    with pytest.raises((UnavailableError, OutcomeUnknownError)):
        await lock.release()
    await calm.resume(calm.master)


async def test_it_is_renewed_for_as_long_as_it_is_held(redis: RedisClient) -> None:
    async with DistributedLock("n", timeout=0.3, client=redis) as lock:
        for _ in range(6):
            await asyncio.sleep(0.1)
            assert lock.owned
            assert await redis.pttl("lock:n") > 0
    assert not any("renew" in name for name in other_tasks())


async def test_what_was_granted_late_is_renewed_in_time(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    lock = DistributedLock("n", timeout=1.0, client=redis)
    assert await lock.acquire()
    assert await lock.release()  # the counter is there
    await calm.pause(calm.master)
    acquiring = asyncio.create_task(lock.acquire())
    await asyncio.sleep(0.75)  # less than a third of the lease is left
    await calm.resume(calm.master)
    assert await acquiring
    await asyncio.sleep(0.4)
    assert await lock.release()


async def test_a_lock_that_was_dropped_is_not_renewed(redis: RedisClient) -> None:
    lock = DistributedLock("n", timeout=0.4, client=redis)
    assert await lock.acquire()
    del lock
    gc.collect()
    with within(1):
        assert await nothing_left(redis)


async def test_an_outer_cancellation_stays_one(redis: RedisClient) -> None:
    lock = DistributedLock("n", timeout=0.5, client=redis)
    entered = asyncio.Event()

    async def body() -> None:
        async with lock:
            entered.set()
            await for_ever()

    task = apart(body())
    await entered.wait()
    task.cancel("by somebody")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await redis.exists("lock:n") == 0
    with within(1):
        with anyio.move_on_after(0.1) as scope:
            async with lock:
                await for_ever()
        assert scope.cancelled_caught
    assert await redis.exists("lock:n") == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), lock:
            await for_ever()
    assert await redis.exists("lock:n") == 0


async def test_cancelled_and_lost_at_once_is_cancelled(redis: RedisClient) -> None:
    async def body() -> None:
        async with DistributedLock("n", timeout=0.3, client=redis):
            await redis.delete("lock:n")
            try:
                await for_ever()
            finally:
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await apart(body())
