"""
The lock while the master is replaced: numbers that only grow, leases that go on, loss that is told.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from sahool_cache import RedisClient
from sahool_cache.address import Address
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import (
    DeadlineExceededError,
    LockLostError,
    OutcomeUnknownError,
    UnavailableError,
)
from sahool_cache.events import Event, MasterChanged, TopologyConfirmed
from sahool_cache.observers import Events
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.locking.epoch import confirmed
from sahool_cache.routing.topology import Topology
from tests.integration.observe import within
from tests.recipes.lock.losses import losing
from tests.recipes.lock.owners import apart, calls, nothing_left

pytestmark = pytest.mark.asyncio


async def test_an_acquisition_that_is_held_through_a_failover_gets_a_number_of_the_new_epoch(
    group: EmbeddedSentinel,
) -> None:
    """
    The promoted master lacks the newest numbers: one that was asked for with the old epoch would
    come again.
    """
    async with RedisClient(group.settings) as redis:
        lock = DistributedLock("n", wait=15, client=redis)
        async with losing(group, redis):
            old = redis.topology
            for _ in range(10):
                async with lock:
                    last = lock.fence
        assert redis.topology.epoch == old.epoch
        held = [
            apart(acquired(DistributedLock(f"held {n}", wait=15, client=redis))) for n in range(3)
        ]
        fences = await asyncio.gather(*held)
        new = redis.topology
        assert new.epoch > old.epoch
        for fence in fences:
            assert fence >> 32 == new.epoch
            assert fence > last
        assert await redis.hget("lock-fence", "fence") == str(max(fences))
        assert len(set(fences)) == 3
        assert await calls(redis) > 3  # some ran with the old epoch, and were asked for again


async def acquired(lock: DistributedLock) -> int:
    async with lock:
        return lock.fence


class Promotion:
    """
    Acquires in the moment in which a promotion is followed, before its epoch is known.
    """

    def __init__(self) -> None:
        self.lock: DistributedLock
        self.confirmed_at = 0.0
        self.done_at = 0.0
        self.task: asyncio.Task[int] | None = None

    def on_event(self, event: Event) -> None:
        if isinstance(event, MasterChanged) and event.provisional:
            self.task = apart(acquired(self.lock))
            self.task.add_done_callback(self._done)
        elif isinstance(event, TopologyConfirmed):
            self.confirmed_at = monotonic()

    def _done(self, task: asyncio.Task[int]) -> None:
        self.done_at = monotonic()


async def test_a_master_that_is_followed_early_gives_no_number_before_its_epoch_is_known(
    group: EmbeddedSentinel,
) -> None:
    promotion = Promotion()
    async with RedisClient(group.settings, observers=[promotion]) as redis:
        promotion.lock = DistributedLock("n", wait=15, client=redis)
        before = await acquired(promotion.lock)
        old = await group.failover()
        await group.wait_for_failover(old)
        async with asyncio.timeout(10):
            while promotion.task is None:
                await asyncio.sleep(0.01)
            fence = await promotion.task
        assert 0 < promotion.confirmed_at <= promotion.done_at
        assert fence > before
        assert fence >> 32 == redis.topology.epoch > 0


async def test_the_wait_for_an_epoch_has_an_end() -> None:
    client: Any = SimpleNamespace(
        topology=Topology(master=Address("h", 1), epoch=3, provisional=True),
        events=Events().stream,
    )
    with within(1), pytest.raises(DeadlineExceededError, match="epoch"):
        await confirmed(client, monotonic() + 0.05)
    with within(1), pytest.raises(DeadlineExceededError):
        await confirmed(client, monotonic() - 1)


class Asleep(RedisClient):
    """
    Believes in an old snapshot until it asks the sentinels.
    """

    dream: Topology | None = None

    @property
    def topology(self) -> Topology:
        return self.dream or super().topology

    async def get_sentinel_info(self) -> dict[str, Any]:
        self.dream = None
        return await super().get_sentinel_info()


async def test_who_slept_through_a_failover_asks_the_sentinels_first(
    group: EmbeddedSentinel,
) -> None:
    async with Asleep(group.settings) as redis:
        lock = DistributedLock("n", client=redis)
        async with losing(group, redis):
            old = redis.topology
            last = [await acquired(lock) for _ in range(5)][-1]
        await redis.wait_ready(15)
        async with asyncio.timeout(10):
            while redis.topology.provisional or redis.topology.epoch == old.epoch:
                await asyncio.sleep(0.01)
        redis.dream = old
        fence = await acquired(lock)
        assert redis.dream is None
        assert fence > last
        assert fence >> 32 == redis.topology.epoch


async def test_without_an_answer_of_a_sentinel_no_doubt_is_settled(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    The counter is another server's, and the epoch may be an old one: there is no number.
    """
    lock = DistributedLock("n", wait=0.1, client=redis)
    assert await acquired(lock)
    await redis.hset("lock-fence", "server", "f" * 40)
    await calm.pause(calm.sentinels[0])
    try:
        with within(2), pytest.raises(DeadlineExceededError, match="sentinels"):
            await lock.acquire()
    finally:
        await calm.resume(calm.sentinels[0])
    assert await nothing_left(redis)
    assert await acquired(lock)


@pytest.mark.parametrize("crash", [True, False])
async def test_a_body_goes_on_through_a_failover(group: EmbeddedSentinel, crash: bool) -> None:
    async with RedisClient(group.settings) as redis:
        async with DistributedLock("n", timeout=5, client=redis) as lock:
            fence, token = lock.fence, await redis.with_options(durability="all").get("lock:n")
            await redis.wait(2, 1000)
            old = await (group.kill_master() if crash else group.failover())
            await group.wait_for_failover(old)
            async with asyncio.timeout(10):
                while not await redis.eval(
                    "return redis.call('pttl', KEYS[1]) > 4000 and 1 or 0", 1, "lock:n"
                ):
                    await asyncio.sleep(0.05)  # until it was renewed on the new master
            assert lock.owned
            assert (lock.fence, await redis.get("lock:n")) == (fence, token)
        assert await nothing_left(redis)


async def test_a_failover_that_loses_the_lock_cancels_the_body(group: EmbeddedSentinel) -> None:
    async with RedisClient(group.settings) as redis:
        lock = DistributedLock("n", timeout=6, wait=15, client=redis)

        async def body() -> None:
            async with losing(group, redis):
                await lock.__aenter__()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                await lock.__aexit__(type(error), error, error.__traceback__)

        with within(6), pytest.raises(LockLostError):
            await apart(body())
        async with lock:
            assert lock.fence >> 32 == redis.topology.epoch


async def test_an_outage_is_told_and_nothing_is_held(group: EmbeddedSentinel) -> None:
    """
    No sentinel and no server: acquiring says so in time, a body lasts as long as its lease.
    """
    async with RedisClient(group.settings) as redis:
        lock = DistributedLock("n", timeout=1.5, wait=0.3, client=redis)
        once = DistributedLock("m", wait=0, client=redis)

        async def body() -> None:
            async with lock:
                for node in (*group.sentinels, *group.replicas, group.master):
                    await group.kill(node)
                for each in (once, DistributedLock("m", wait=0.3, fair=True, client=redis)):
                    with within(1.4), pytest.raises(UnavailableError):
                        await each.acquire()
                await asyncio.Event().wait()

        with within(4), pytest.raises(LockLostError):
            await apart(body())
        assert not lock.owned


@pytest.mark.parametrize("wait", [0.2, 10])
async def test_what_a_silent_master_was_asked_for_is_given_back(
    calm: EmbeddedSentinel, redis: RedisClient, wait: float
) -> None:
    """
    It runs what it was sent when it goes on: whoever asked has given up by then, or was cancelled.
    Nobody is told that somebody else has the lock, also not in line behind the one that asks.
    """
    lock = DistributedLock("n", wait=wait, client=redis)
    assert await acquired(lock)
    await calm.pause(calm.master)
    try:
        asking = apart(lock.acquire())
        if wait > 1:
            await asyncio.sleep(0.1)
            asking.cancel()
            with within(1.5):
                await asyncio.wait({asking})
            assert asking.cancelled()
        else:
            with within(3):
                told = await asyncio.gather(
                    asking, *(apart(lock.acquire()) for _ in range(2)), return_exceptions=True
                )
            assert all(isinstance(each, UnavailableError | OutcomeUnknownError) for each in told)
    finally:
        await calm.resume(calm.master)
    await redis.wait_ready(5)
    await redis.ping()
    assert await nothing_left(redis, 1)
    assert await acquired(lock)


async def test_what_was_cut_off_in_flight_is_asked_again(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    The connection is lost after the call was sent, and before its answer: it may have run. The
    repeat says what the first would have said.
    """
    lock = DistributedLock("n", client=redis)
    last = await acquired(lock)
    for _ in range(3):
        assert await cut_off(calm, redis, lock.acquire())
        assert (lock.owned, lock.fence > last) == (True, True)
        last = lock.fence
        assert await cut_off(calm, redis, lock.release())
        assert not lock.owned
        assert await redis.exists("lock:n") == 0


async def cut_off(group: EmbeddedSentinel, redis: RedisClient, work: Any) -> Any:
    await redis.ping()
    await group.pause(group.master)
    try:
        task = asyncio.create_task(work)
        chain = redis.chain
        assert chain is not None
        async with asyncio.timeout(2):
            while not chain.fleet.master.node.lanes[0].in_flight:  # type: ignore[union-attr]
                await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        chain.fleet.master.node.abort("cut by the test")  # type: ignore[union-attr]
    finally:
        await group.resume(group.master)
    return await task
