"""
Waiting: by message and not by asking, in order, until the client closes.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import ClientClosedError
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.locking.line import Lines
from tests.house import ROOT
from tests.integration.observe import eventually, other_tasks, within
from tests.recipes.lock.owners import apart, calls, nothing_left

pytestmark = pytest.mark.asyncio


async def wait_in_queue(redis: RedisClient, waiters: int) -> None:
    async with asyncio.timeout(5):
        while await redis.zcard("lock-queue:n") < waiters:
            await asyncio.sleep(0.005)


async def wait_for_ears(redis: RedisClient, ears: int = 1) -> None:
    """
    Returns when so many channels of the lock are subscribed to.
    """
    async with asyncio.timeout(5):
        while len(await redis.pubsub_channels("lock:n:free*")) < ears:
            await asyncio.sleep(0.005)


async def test_a_hundred_tasks_ask_once_for_each_hand_over(redis: RedisClient) -> None:
    lock = DistributedLock("n", wait=20, client=redis)
    fences: list[int] = []
    order: list[int] = []

    async def owner(number: int) -> None:
        async with lock:
            fences.append(lock.fence)
            order.append(number)
            await asyncio.sleep(0)

    async with lock:
        await redis.config_resetstat()
        tasks = [apart(owner(number)) for number in range(100)]
        await wait_for_ears(redis)
        await asyncio.sleep(0.3)  # in which nobody asks
    await asyncio.gather(*tasks)
    assert order == list(range(100))
    assert fences == sorted(set(fences))
    assert await calls(redis) <= 210  # a hundred taken, a hundred and one given back
    stats = await redis.info("commandstats")
    assert stats["cmdstat_subscribe"]["calls"] == 1
    assert redis.companion(Lines).of == {}
    assert await nothing_left(redis)


async def test_each_waiter_has_its_own_limit_and_may_be_cancelled(redis: RedisClient) -> None:
    """
    Whoever stands behind is served, though those in front give up, or are cancelled when rung.
    """
    brief = DistributedLock("n", wait=0.15, client=redis)
    lock = DistributedLock("n", wait=10, client=redis)
    async with lock:
        impatient = [apart(brief.acquire()) for _ in range(3)]
        cancelled = [apart(lock.acquire()) for _ in range(3)]
        patient = apart(lock.acquire())
        with within(1):
            assert await asyncio.gather(*impatient) == [False] * 3
        assert not patient.done()
    for task in cancelled:
        task.cancel()
    with within(1):
        assert await patient
        await asyncio.wait(cancelled)
    assert all(task.cancelled() or task.result() for task in cancelled)


async def test_a_ring_is_passed_on_by_who_cannot_use_it(redis: RedisClient) -> None:
    """
    The first in line is cancelled in the moment in which it hears that the lock is free.
    """
    lock = DistributedLock("n", wait=5, client=redis)
    for steps in range(12):
        assert await lock.acquire()
        first, second = apart(lock.acquire()), apart(lock.acquire())
        await wait_for_ears(redis)
        ear = redis.companion(Lines).of["lock:n:free"].ear
        assert await lock.release()
        async with asyncio.timeout(2):
            while not ear._rung.is_set() and not first.done():
                await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        first.cancel()
        with within(1.5):
            await asyncio.wait({first})
            if not first.cancelled():
                await redis.delete("lock:n")
                await redis.publish("lock:n:free", "")
            assert await second
        await redis.delete("lock:n")


@pytest.mark.parametrize("fair", [False, True])
async def test_nobody_asks_while_the_holder_renews(redis: RedisClient, fair: bool) -> None:
    """
    Two clients wait for a second; they look when the lease could have ended, at most.
    """
    lock = DistributedLock("n", timeout=3, wait=10, fair=fair, client=redis)
    async with RedisClient(redis.settings) as second:
        other = DistributedLock("n", timeout=3, wait=10, fair=fair, client=second)
        async with lock:
            await redis.config_resetstat()
            tasks = [apart(each.acquire()) for each in (lock, other) for _ in range(2)]
            await wait_for_ears(redis, 4 if fair else 1)
            await asyncio.sleep(0.5)
            assert await calls(redis) <= (8 if fair else 4)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    assert await nothing_left(redis)


async def test_a_fair_lock_goes_round_in_the_order_of_asking(redis: RedisClient) -> None:
    """
    Across clients; who gives up or is cancelled has left the queue.
    """
    order: list[int] = []
    async with RedisClient(redis.settings) as second:
        locks = [DistributedLock("n", wait=10, fair=True, client=each) for each in (redis, second)]

        async def owner(number: int) -> None:
            async with locks[number % 2]:
                order.append(number)

        async with locks[0]:
            tasks = []
            for number in range(12):
                tasks.append(apart(owner(number)))
                await wait_in_queue(redis, number + 1)
            brief = DistributedLock("n", wait=0.05, fair=True, client=redis)
            assert await apart(brief.acquire()) is False
            tasks[0].cancel()
            tasks[5].cancel()
            await asyncio.wait({tasks[0], tasks[5]})
            assert await redis.zcard("lock-queue:n") == 10
            await wait_for_ears(redis, 10)
            await redis.config_resetstat()
        with within(2):  # the head is woken, nobody waits for a turn of the clock
            await asyncio.wait(tasks)
        assert await calls(redis) <= 30
    assert order == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert await nothing_left(redis)


async def test_a_dead_waiter_of_a_fair_lock_loses_its_place(redis: RedisClient) -> None:
    lock = DistributedLock("n", wait=10, fair=True, client=redis)
    await redis.zadd("lock-queue:n", {"dead": 1})
    await redis.zadd("lock-patience:n", {"dead": time.time() * 1000 + 700})
    with within(4):
        assert await lock.acquire()
    assert await lock.release()
    await redis.zadd("lock-queue:n", {"dead": 1})
    await redis.zadd("lock-patience:n", {"dead": time.time() * 1000 + 60_000})
    assert await DistributedLock("n", wait=0, fair=True, client=redis).acquire() is False
    assert await redis.zcard("lock-queue:n") == 1  # who asks once does not queue
    await redis.delete("lock-queue:n", "lock-patience:n")


async def test_every_key_of_a_fair_lock_expires(redis: RedisClient) -> None:
    lock = DistributedLock("n", fair=True, client=redis)
    async with lock:
        waiting = apart(lock.acquire())
        await wait_in_queue(redis, 1)
        for key in await redis.keys("*"):
            assert key == "lock-fence" or await redis.pttl(key) > 0
        waiting.cancel()
        await asyncio.wait({waiting})


@pytest.mark.parametrize("fair", [False, True])
async def test_closing_the_client_ends_waiting_and_renewing(redis: RedisClient, fair: bool) -> None:
    async with RedisClient(redis.settings) as closing:
        lock = DistributedLock("n", timeout=0.6, wait=20, fair=fair, client=closing)
        assert await lock.acquire()
        others = [apart(lock.acquire()) for _ in range(3)]
        await wait_for_ears(redis, 3 if fair else 1)
    with within(1):
        results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(each) for each in results] == [ClientClosedError] * 3
    with pytest.raises(ClientClosedError):
        await lock.release()
    assert await eventually(lambda: not lock.owned, 2)
    assert await DistributedLock("n", client=redis).acquire()
    assert not [name for name in other_tasks() if "lock" in name]


async def test_a_client_that_is_closed_while_a_waiter_subscribes_tells_it(
    redis: RedisClient,
) -> None:
    """
    In whichever step of it; no task is left that fails where nobody sees it.
    """
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await redis.set("lock:n", "somebody", px=60_000)
    for steps in range(40):
        async with RedisClient(redis.settings) as closing:
            lock = DistributedLock("n", wait=20, fair=steps % 2 == 0, client=closing)
            waiting = [apart(lock.acquire()) for _ in range(2)]
            for _ in range(steps):
                await asyncio.sleep(0)
        with within(1):
            results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in results] == [ClientClosedError] * 2
    assert await eventually(lambda: not {"sahool_cache.wakeups"} & other_tasks())
    gc.collect()
    assert complaints == []


@pytest.mark.parametrize("missing", ["resetchannels", "-subscribe -publish"])
async def test_without_the_right_to_channels_it_works_by_looking(
    calm: EmbeddedSentinel, redis: RedisClient, missing: str
) -> None:
    await calm.command(
        calm.master, "ACL", "SETUSER", "app", "reset", "on", "nopass", "~*", "&*", "+@all",
        *missing.split(),
    )  # fmt: skip
    settings = calm.settings.model_copy(update={"username": "app", "password": "any"})
    async with RedisClient(settings) as limited:
        lock = DistributedLock("n", wait=5, client=limited)
        async with lock:
            waiting = apart(lock.acquire())
            await asyncio.sleep(0.05)
        with within(1):
            assert await waiting


async def test_without_the_right_to_info_it_works(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    await calm.command(
        calm.master, "ACL", "SETUSER", "app", "reset", "on", "nopass", "~*", "&*", "+@all", "-info"
    )
    settings = calm.settings.model_copy(update={"username": "app", "password": "any"})
    async with RedisClient(settings) as limited:
        async with DistributedLock("n", client=limited) as lock:
            first = lock.fence
        async with DistributedLock("n", client=redis) as lock:
            assert lock.fence == first + 1


OWNER = """
import asyncio, sys
from sahool_cache import RedisClient, RedisSettings
from sahool_cache.recipes.distributed_lock import DistributedLock

async def main():
    address, name, fair = sys.argv[1:]
    settings = RedisSettings.isolated(sentinels=[address], master_name=name)
    async with RedisClient(settings) as redis:
        lock = DistributedLock("n", wait=20, fair=fair == "True", client=redis)
        for _ in range(20):
            async with lock:
                before = int(await redis.get("n") or 0)
                await redis.rpush("fences", lock.fence)
                await redis.set("n", before + 1)

asyncio.run(main())
"""


@pytest.mark.parametrize("fair", [False, True])
async def test_processes_exclude_each_other(
    calm: EmbeddedSentinel, redis: RedisClient, fair: bool
) -> None:
    where = (str(calm.sentinels[0].address), calm.settings.master_name, str(fair))
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, *where, cwd=ROOT)
        for _ in range(2)
    ]
    assert [await process.wait() for process in processes] == [0, 0]
    assert await redis.get("n") == "40"
    fences = [int(each) for each in await redis.lrange("fences", 0, -1)]
    assert fences == sorted(set(fences))
