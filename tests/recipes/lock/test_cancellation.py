"""
Tasks that are cancelled at any moment leave nothing behind: no owner, no waiter, no task.

``LOCK_STORMS=50 python -m pytest tests/recipes/lock -k storm`` plays more, and ``LOCK_SEED=n`` one
of them again.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import Random

import anyio
import pytest

from sahool_cache import RedisClient
from sahool_cache.errors import LockNotAcquiredError
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.locking.line import Lines
from sahool_cache.recipes.shared import Shared
from tests.integration.observe import eventually, other_tasks, within
from tests.recipes.lock.owners import apart, nothing_left

pytestmark = pytest.mark.asyncio

STORMS = int(os.environ.get("LOCK_STORMS", "2"))
SEEDS = [int(os.environ["LOCK_SEED"])] if "LOCK_SEED" in os.environ else list(range(STORMS))


class Storm:
    """
    Owners that come and go, one name; `inside` never has two.
    """

    def __init__(self, locks: list[DistributedLock], random: Random) -> None:
        self.locks = locks
        self.random = random
        self.inside = 0
        self.served = 0
        self.fences: list[int] = []

    async def own(self) -> None:
        lock = self.random.choice(self.locks)
        pause = self.random.choice((0, 0, 0.001, 0.003))
        if self.random.random() < 0.5:
            async with lock:
                await self.work(lock, pause)
        elif await lock.acquire():
            try:
                await self.work(lock, pause)
            finally:
                assert await lock.release()

    async def work(self, lock: DistributedLock, pause: float) -> None:
        assert self.inside == 0
        self.inside += 1
        try:
            self.fences.append(lock.fence)
            await asyncio.sleep(pause)
        finally:
            self.inside -= 1
        self.served += 1

    async def cancelled_natively(self) -> None:
        task = apart(self.own())
        await self.moment()
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and not isinstance(task.exception(), LockNotAcquiredError):
            task.result()

    async def cancelled_by_a_scope(self) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self.own)
                await self.moment()
                scope.cancel()

    async def cancelled_by_wait_for(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.own(), self.random.random() * 0.03)

    async def moment(self) -> None:
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.random() * 0.03)
        else:
            for _ in range(self.random.randrange(40)):
                await asyncio.sleep(0)


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_storm_of_cancellations_leaves_nothing_behind(
    redis: RedisClient, seed: int, fair: bool
) -> None:
    random = Random(seed)
    async with RedisClient(redis.settings) as second:
        locks = [
            DistributedLock("n", wait=wait, fair=fair, client=client)
            for client in (redis, second)
            for wait in (0, 0.02, 10)
        ]
        storm = Storm(locks, random)
        ways = (storm.cancelled_natively, storm.cancelled_by_a_scope, storm.cancelled_by_wait_for)

        async def come_and_go() -> None:
            for _ in range(6):
                try:
                    await random.choice(ways)()
                except* LockNotAcquiredError:
                    pass

        await asyncio.gather(*(apart(come_and_go()) for _ in range(25)))
        with within(1):
            async with DistributedLock("n", fair=fair, client=redis):
                pass
        assert await nothing_left(redis, 1)
        for client in (redis, second):
            assert client.companion(Lines).of == {}
            assert await eventually(lambda c=client: not c.companion(Shared).wakeups._ears)
    assert storm.served
    assert storm.fences == sorted(set(storm.fences))
    assert await eventually(lambda: not [name for name in other_tasks() if "a lock" in name])


async def test_a_release_that_is_cancelled_is_carried_out(redis: RedisClient) -> None:
    """
    However often, natively or by a scope; the cancellation is passed on.
    """
    lock = DistributedLock("n", client=redis)

    async def give_back(begun: asyncio.Event) -> None:
        assert await lock.acquire()
        begun.set()
        await lock.release()

    for steps in range(15):
        begun = asyncio.Event()
        task = apart(give_back(begun))
        await begun.wait()
        for _ in range(steps + 1):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({task})
        assert task.cancelled()
        assert await redis.exists("lock:n") == 0
        assert await lock.acquire()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await lock.release()
        assert await redis.exists("lock:n") == 0


async def test_cancelled_while_acquiring_the_token_is_given_back(redis: RedisClient) -> None:
    lock = DistributedLock("n", client=redis)
    async with lock:  # so that the counter exists, and each acquisition is one round trip
        pass
    landed = cancelled = 0
    for steps in range(60):
        task = apart(lock.acquire())
        for _ in range(steps):
            await asyncio.sleep(0)
        if steps % 2:
            looking = asyncio.create_task(redis.exists("lock:n"))
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if steps % 2 and task.cancelled():
            landed += await looking
        cancelled += task.cancelled()
        if not task.cancelled():
            assert task.result()
            await redis.delete("lock:n")
        assert await redis.exists("lock:n") == 0
    assert landed
    assert landed < cancelled < 60
