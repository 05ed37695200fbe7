"""
`require_replicas`: the lock counts only once replicas have it.
"""

from __future__ import annotations

import pytest

from sahool_cache import NotDurableError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.distributed_lock import DistributedLock
from tests.integration.observe import within
from tests.recipes.lock.owners import apart, nothing_left

pytestmark = pytest.mark.asyncio


async def test_the_replicas_have_it_before_it_is_held(
    group: EmbeddedSentinel,
) -> None:
    async with RedisClient(group.settings) as redis:
        for wanted in (1, "all"):
            lock = DistributedLock("n", require_replicas=wanted, client=redis)  # type: ignore[arg-type]
            async with lock:
                for replica in group.replicas if wanted == "all" else ():
                    assert await group.command(replica, "EXISTS", "lock:n") == 1
            assert await nothing_left(redis)
        demanding = DistributedLock("n", require_replicas=3, client=redis)
        with within(3), pytest.raises(NotDurableError, match="'n': it is released") as caught:
            await demanding.acquire()
        assert (caught.value.confirmed, caught.value.wanted) == (2, 3)
        assert not demanding.owned
        assert await nothing_left(redis)


async def test_without_replicas_a_refusal_is_a_refusal(group: EmbeddedSentinel) -> None:
    """
    Who is refused has nothing that replicas could confirm.
    """
    async with RedisClient(group.settings) as redis:
        async with DistributedLock("n", client=redis):
            once = DistributedLock("n", wait=0, require_replicas=1, client=redis)
            assert await apart(once.acquire()) is False
            for replica in group.replicas:
                await group.pause(replica)
            assert await apart(once.acquire()) is False
        with within(3), pytest.raises(NotDurableError):
            await once.acquire()
        assert await nothing_left(redis)


async def test_a_client_whose_writes_are_durable_renews_and_releases_without(
    group: EmbeddedSentinel,
) -> None:
    """
    Its locks are, too. But replicas that hang later are no reason to lose one.
    """
    settings = group.settings.model_copy(update={"durability": 1, "durability_timeout": 0.5})
    async with RedisClient(settings) as redis:
        lock = DistributedLock("n", timeout=5, client=redis)
        async with lock:
            for replica in group.replicas:
                await group.pause(replica)
            assert await lock._acquisitions.copy().pop()._claim.renew(0.5)
        with within(3), pytest.raises(NotDurableError):
            await lock.acquire()
