"""
Request scopes: one budget for all calls, and reads that see what was written.
"""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ResponseError

from sahool_cache import (
    DeadlineExceededError,
    NoReplicaError,
    NotDurableError,
    RedisClient,
    UnavailableError,
)
from sahool_cache.embedded import EmbeddedSentinel
from tests.integration.observe import eventually, send_all, within

pytestmark = pytest.mark.asyncio


async def test_a_scope_reads_its_own_writes_from_whomever_it_asks(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    A thousand writes, each read back at once through replicas: none is old.
    """
    assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
    served = {str(node.address): node.answered for node in redis.stats().nodes}
    async with redis.scope() as r:
        nearest = r.with_options(read_from="nearest")
        for number in range(300):
            await r.set("k", number)
            assert await r.replica.get("k") == str(number)
            await r.incr("k")
            assert await r.get("k", use_slave=True) == str(number + 1)
            async with r.pipeline() as pipe:
                pipe.incr("k")
                await pipe.execute()
            assert await nearest.get("k") == str(number + 2)
    grown = {str(n.address): n.answered - served[str(n.address)] for n in redis.stats().nodes}
    assert all(grown[str(replica.address)] > 100 for replica in group.replicas), grown


async def test_reads_go_to_the_master_while_replicas_are_behind(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    A replica that stands still answers nothing of the scope; `read_from="replica"` says why.
    """
    assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
    for replica in group.replicas:  # they answer, and take no data any more
        await group.command(replica, "REPLICAOF", "127.0.0.1", "1")
    async with redis.scope(timeout=1.0) as r:
        await r.set("k", "new")
        assert await r.replica.get("k") == "new"
        with within(1.5), pytest.raises((NoReplicaError, DeadlineExceededError)):
            await r.with_options(read_from="replica").get("k")


async def test_a_token_carries_the_guarantee_to_another_client(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    What one process wrote, another reads, whichever server it asks; also after a failover.
    """
    async with redis.scope() as r:
        assert r.token is None
        await r.set("k", "first")
        token = r.token
    async with RedisClient(group.settings) as other:
        async with other.scope(after=token) as r:
            assert await r.replica.get("k") == "first"
            assert r.token == token
            await r.set("k", "second")
            later = r.token
        old = await group.failover()
        await group.wait_for_failover(old)
        async with redis.scope(after=later) as r:
            assert await r.replica.get("k") == "second"
            await r.set("k", "third")
        async with other.scope(after=r.token) as r:
            assert await r.replica.get("k") == "third"


async def test_a_token_from_a_master_that_is_not_known_yet_is_waited_for(
    redis: RedisClient,
) -> None:
    """
    A newer epoch than anybody knows: the call ends with its budget, and reads nothing old.
    """
    async with redis.scope(after="999:1", timeout=0.4) as r:
        with within(1), pytest.raises(UnavailableError, match="token"):
            await r.get("k")


async def test_all_calls_of_a_scope_share_its_budget(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    The second call gets what the first has left, whatever view of the scope it goes through.
    """
    await group.pause(group.master)
    with within(0.8):
        async with redis.scope(timeout=0.4) as r:
            for call in (r.get, r.master.get, r.with_options(timeout=5).get):
                with pytest.raises(UnavailableError):
                    await call("k")
            with pytest.raises(UnavailableError):
                await r.blpop("k", 0)
            with pytest.raises(UnavailableError):
                await send_all(r.pipeline(), ("GET", "k"))


async def test_a_scope_takes_only_what_makes_sense(redis: RedisClient) -> None:
    """
    Wrong arguments are named when they are given.
    """
    for wrong in ("", "x", 7):
        with pytest.raises(ValueError, match="after"):
            redis.scope(after=wrong)  # type: ignore[arg-type]
    for wrong in (0, -1, True, "1"):
        with pytest.raises(ValueError, match="timeout"):
            redis.scope(timeout=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="read_your_writes"):
        redis.scope(after="0:1", read_your_writes=False)
    async with redis.scope(read_your_writes=False) as r:
        await r.set("k", 1)
        assert r.token is None
    await asyncio.sleep(0)


async def test_a_write_that_may_have_run_is_noted_as_well(
    group: EmbeddedSentinel, redis: RedisClient
) -> None:
    """
    Not durable, a script that failed half-way, cancelled: the scope's reads look at the master.
    """
    async with redis.scope() as r:
        with pytest.raises(NotDurableError):
            await r.with_options(durability=9).set("k", "v")
        assert r.token == f"{redis.topology.epoch}:"
        with within(0.3), pytest.raises(NoReplicaError):
            await r.with_options(read_from="replica").get("k")
    async with redis.scope() as r:
        with pytest.raises(ResponseError):
            await r.eval("redis.call('set', KEYS[1], 'half'); return redis.call('nothing')", 1, "k")
        assert r.token is not None
        assert await r.replica.get("k") == "half"
    async with redis.scope() as r:
        task = asyncio.ensure_future(r.set("k", "cancelled"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert r.token is not None
    async with redis.scope() as r:
        async with r.client() as own:
            await own.set("k", "own")
        assert await r.replica.get("k") == "own"


async def test_a_wait_without_end_has_no_place_in_a_budget(redis: RedisClient) -> None:
    """
    It is refused before it is sent: at its end it would be in doubt.
    """
    async with redis.scope(timeout=0.5) as r:
        with within(0.3), pytest.raises(DeadlineExceededError):
            await r.blpop("k", 0)


async def test_a_scan_in_a_scope_that_writes_misses_nothing(redis: RedisClient) -> None:
    """
    It began at a replica, and goes on at the master: from the start.
    """
    assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
    await redis.mset({f"key:{n}": n for n in range(2000)})
    assert await redis.wait(2, 5000) == 2
    async with redis.scope() as r:
        seen = set()
        async for key in r.replica.scan_iter(match="key:*", count=20):
            if not seen:
                await r.set("written", "meanwhile")
            seen.add(key)
    assert len(seen) == 2000
