"""
Owners that acquire, release, are cancelled and lose their lease, beside a model of who has it.

``LOCK_COURSES=500 python -m pytest tests/recipes/lock -k model`` plays more, and LOCK_SEED=n one
of them again (what is cancelled when is still the machine's to say). With
``LOCK_MODEL_FAILOVERS=1`` each has so many planned failovers in it.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import Context
from random import Random
from typing import Any

import pytest

from sahool_cache import RedisClient, UsageError
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.distributed_lock import DistributedLock
from tests.recipes.lock.losses import replaced
from tests.recipes.lock.owners import nothing_left

COURSES = int(os.environ.get("LOCK_COURSES", "25"))
FAILOVERS = int(os.environ.get("LOCK_MODEL_FAILOVERS", "0"))
SEEDS = [int(os.environ["LOCK_SEED"])] if "LOCK_SEED" in os.environ else range(COURSES)
STEPS = 60
FOREIGN = "somebody else"
CANCELLED = object()


class Owner:
    """
    One task, which does what it is told; cancelled, it goes on with the next.
    """

    def __init__(self, lock: DistributedLock) -> None:
        self.lock = lock
        self.ended = self.busy = False
        self.told: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]]
        self.told = asyncio.Queue()
        self.task = asyncio.create_task(self._work(), context=Context())  # type: ignore[call-arg]

    async def _work(self) -> None:
        while not self.ended:
            do, done = await self.told.get()
            self.busy = True
            try:
                result = await do()
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
                result = CANCELLED
            except Exception as error:  # noqa: BLE001
                done.set_exception(error)
                continue
            finally:
                self.busy = False
            done.set_result(result)

    async def do(self, do: Callable[[], Awaitable[Any]], cancel_after: int | None = None) -> Any:
        done = asyncio.get_running_loop().create_future()
        self.told.put_nowait((do, done))
        if cancel_after is not None:
            for _ in range(cancel_after + 1):
                await asyncio.sleep(0)
            self.cancel()
        return await done

    def cancel(self) -> None:
        if self.busy:
            self.task.cancel()

    async def end(self) -> None:
        self.task.cancel()
        self.ended = True
        await asyncio.wait({self.task})

    async def fence(self) -> int:
        return self.lock.fence

    async def owned(self) -> bool:
        return self.lock.owned


class Course:
    """
    `holder` is who has the lock at the server, `held` how often it was granted to whom and not
    released: again, if the lease had ended in between.
    """

    def __init__(self, redis: RedisClient, group: EmbeddedSentinel, random: Random) -> None:
        self.redis, self.group, self.random = redis, group, random
        self.holder: Owner | str | None = None
        self.held: Counter[Owner] = Counter()
        self.highest = 0
        fair = random.random() < 0.5
        self.lock = DistributedLock("n", wait=0, fair=fair, client=redis)
        self.patient = DistributedLock("n", wait=5, fair=fair, client=redis)
        self.owners = [Owner(self.lock) for _ in range(3)]
        self.waiter = Owner(self.patient)
        self.told: list[str] = []

    async def play(self) -> None:
        rules = (
            *(self.acquires, self.acquires_until_cancelled, self.releases),
            *(self.releases_until_cancelled, self.is_renewed, self.hands_over, self.hands_over),
            *(self.lease_ends_at_the_server, self.another_program_takes_it),
        )
        failovers = {self.random.randrange(STEPS) for _ in range(FAILOVERS)}
        for step in range(STEPS):
            rule = self.master_is_replaced if step in failovers else self.random.choice(rules)
            self.told.append(rule.__name__)
            await rule(self.random.choice(self.owners))
            await self.agrees()
        await self.ends()

    async def granted(self, owner: Owner) -> None:
        fence = await owner.do(owner.fence)
        assert fence > self.highest
        self.highest = fence
        self.holder = owner
        self.held[owner] += 1

    def given_back(self, owner: Owner) -> None:
        self.held[owner] = max(0, self.held[owner] - 1)
        if self.holder is owner:
            self.holder = None

    async def acquires(self, owner: Owner) -> None:
        taken = await owner.do(self.lock.acquire)
        assert taken is (self.holder is None)
        if taken:
            await self.granted(owner)

    async def acquires_until_cancelled(self, owner: Owner) -> None:
        taken = await owner.do(self.lock.acquire, cancel_after=self.random.randrange(40))
        assert taken in (CANCELLED, self.holder is None)
        if taken is True:
            await self.granted(owner)

    async def releases(self, owner: Owner) -> None:
        released = await owner.do(self.lock.release)
        assert released is (self.holder is owner)
        self.given_back(owner)

    async def releases_until_cancelled(self, owner: Owner) -> None:
        begun = asyncio.Event()

        async def release() -> bool:
            begun.set()
            return await self.lock.release()

        released = await owner.do(release, cancel_after=self.random.randrange(40))
        assert released in (CANCELLED, self.holder is owner)
        if begun.is_set():  # and not cancelled before
            self.given_back(owner)

    async def is_renewed(self, owner: Owner) -> None:
        if self.holder is owner:
            await self.redis.pexpire("lock:n", 1000)
            for each in self.lock._acquisitions:
                if each.held and not each.lost:
                    await each._claim.renew(1.0)
            assert await self.redis.pttl("lock:n") > 9000

    async def lease_ends_at_the_server(self, _: Owner) -> None:
        """
        As if its clock had jumped, or the owner had been paused.
        """
        await self.redis.delete("lock:n")
        self.holder = None

    async def another_program_takes_it(self, _: Owner) -> None:
        taken = await self.redis.set("lock:n", FOREIGN, nx=True, px=60_000)
        assert bool(taken) is (self.holder is None)
        self.holder = self.holder or FOREIGN

    async def hands_over(self, _: Owner) -> None:
        """
        One waits while the holder releases: it has the lock then, or was cancelled in the middle.
        """
        holder = self.holder
        if not isinstance(holder, Owner):
            return
        waiting = asyncio.create_task(self.waiter.do(self.patient.acquire))
        for _ in range(self.random.randrange(40)):
            await asyncio.sleep(0)
        assert await holder.do(self.lock.release)
        self.given_back(holder)
        if self.random.random() < 0.5:
            self.waiter.cancel()
        if await waiting is True:
            fence = await self.waiter.do(self.waiter.fence)
            assert fence > self.highest
            self.highest = fence
            assert await self.waiter.do(self.patient.release)

    async def master_is_replaced(self, _: Owner) -> None:
        await self.redis.wait(1, 1000)
        epoch = self.redis.topology.epoch
        await replaced(self.group, crash=False)
        async with asyncio.timeout(10):
            while self.redis.topology.epoch == epoch or self.redis.topology.provisional:
                await asyncio.sleep(0.01)
        await self.group.wait_in_sync()
        await self.releases_all()  # that took as long as a lease: anew
        await self.lease_ends_at_the_server(_)

    async def agrees(self) -> None:
        value = await self.redis.get("lock:n")
        assert (value is None) is (self.holder is None)
        assert (value == FOREIGN) is (self.holder == FOREIGN)
        assert await self.redis.zcard("lock-queue:n") == 0
        for owner in self.owners:
            if self.held[owner]:
                assert await owner.do(owner.fence) <= self.highest
            else:
                assert await owner.do(owner.owned) is False
                with pytest.raises(UsageError):
                    await owner.do(owner.fence)
        if isinstance(self.holder, Owner):
            assert await self.holder.do(self.holder.owned)

    async def releases_all(self) -> None:
        for owner in self.held.elements():
            await owner.do(self.lock.release)
        self.held.clear()

    async def ends(self) -> None:
        await self.releases_all()
        if self.holder == FOREIGN:
            await self.redis.delete("lock:n")
        assert await nothing_left(self.redis)


@pytest.mark.timeout(60 + COURSES * (1 + 20 * FAILOVERS))
@pytest.mark.asyncio
async def test_who_has_the_lock_is_as_the_model_says() -> None:
    async with (
        EmbeddedSentinel(
            replicas=1, sentinels=1, quorum=1, sentinel_debug={"info-period": 1000}
        ) as group,
        RedisClient(group.settings) as redis,
    ):
        for seed in SEEDS:
            await redis.flushall()
            course = Course(redis, group, Random(seed))
            try:
                await course.play()
            except Exception as error:
                error.add_note(f"LOCK_SEED={seed}: {' '.join(course.told)}")
                raise
            for owner in (*course.owners, course.waiter):
                await owner.end()
