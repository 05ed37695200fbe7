"""
WATCH: transactions that another's write undoes, and `transaction()` that goes on in spite of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError, WatchError

from sahool_cache import NeedsOwnConnectionError, ReadOnlyViewError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import AnyClient, lent
from tests.commands.waiting import handed_back

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def redis(calm_redis: RedisClient) -> RedisClient:
    return calm_redis


@pytest_asyncio.fixture
async def theirs(calm: EmbeddedSentinel) -> AsyncIterator[Redis]:
    host, port = calm.master.address
    async with Redis(host=host, port=port, decode_responses=True) as theirs:
        yield theirs


async def test_an_explicit_discard_forgets_what_was_staged(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("a")
        pipe.multi()
        pipe.set("a", 1)
        await pipe.discard()
        await pipe.reset()
        assert await pipe.set("b", 2).execute() == [True]
    assert await redis.mget("a", "b") == [None, "2"]
    await handed_back(redis)


async def test_watch_then_execute_runs_while_nobody_interferes(redis: AnyClient) -> None:
    await redis.set("n", 5)
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
        assert lent(redis) == 1
        value = int(await pipe.get("n"))
        pipe.multi()
        assert await pipe.set("n", value + 1).get("n").execute() == [True, "6"]
        await handed_back(redis)
    await handed_back(redis)


async def test_a_change_by_another_raises_watch_error_and_writes_nothing(
    redis: AnyClient,
) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("n", "m")
        pipe.multi()
        pipe.set("n", "mine")
        await redis.set("m", "theirs")
        with pytest.raises(WatchError):
            await pipe.execute()
        await handed_back(redis)
    assert await redis.get("n") is None


async def test_unwatch_forgets_the_watch(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
        await redis.set("n", "theirs")
        assert await pipe.unwatch() is True
        pipe.multi()
        assert await pipe.set("n", "mine").execute() == [True]
    await handed_back(redis)


async def test_between_watch_and_multi_commands_reply_at_once(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
        assert await pipe.set("o", b"1") is True
        assert await pipe.hgetall("none") == {}
        assert await pipe.mget([]) == []
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await pipe.lpush("o", 1)
        with pytest.raises(NeedsOwnConnectionError):
            await pipe.execute_command("SELECT", 1)
        assert await pipe.get("o") == "1"
    await handed_back(redis)


async def test_multi_twice_or_after_staging_is_an_error(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        pipe.multi()
        with pytest.raises(RedisError):
            pipe.multi()
    async with redis.pipeline() as pipe:
        pipe.get("a")
        with pytest.raises(RedisError):
            pipe.multi()


async def test_every_way_out_gives_the_connection_back(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
    await handed_back(redis)

    async def fail() -> None:
        async with redis.pipeline() as pipe:
            await pipe.watch("n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await handed_back(redis)
    pipe = redis.pipeline()
    await pipe.watch("n")
    await pipe.reset()
    await handed_back(redis)
    await pipe.watch("n")
    await pipe.aclose()
    await handed_back(redis)
    async with redis.pipeline() as pipe:
        await pipe.watch("n")
        pipe.multi()
        pipe.lpush("n", 1).incr("n")
        with pytest.raises(ResponseError):
            await pipe.execute()
        await handed_back(redis)

    async def watch_for_ever() -> None:
        async with redis.pipeline() as pipe:
            await pipe.watch("n")
            await asyncio.sleep(60)

    task = asyncio.create_task(watch_for_ever())
    async with asyncio.timeout(5):
        while lent(redis) == 0:
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait({task})
    await handed_back(redis)
    assert task.cancelled()


async def test_a_watch_is_not_inherited_by_the_next(redis: AnyClient) -> None:
    for _ in range(5):
        async with redis.pipeline() as pipe:
            await pipe.watch("n")
    await redis.set("n", 1)
    async with redis.pipeline() as pipe:
        await pipe.watch("other")
        pipe.multi()
        assert await pipe.set("n", 2).execute() == [True]


async def test_fifty_concurrent_transactions_count_exactly(redis: AnyClient) -> None:
    async def add(pipe: AnyClient) -> None:
        value = int(await pipe.get("counter") or 0)
        pipe.multi()
        pipe.set("counter", value + 1)

    async with asyncio.timeout(30):
        await asyncio.gather(*(redis.transaction(add, "counter") for _ in range(50)))
    assert await redis.get("counter") == "50"
    await handed_back(redis)


async def test_transaction_gives_what_redis_pys_gives(redis: AnyClient, theirs: Redis) -> None:
    async def add(pipe: Any) -> str:
        value = int(await pipe.get("n") or 0)
        pipe.multi()
        pipe.set("n", value + 1).get("n")
        return "mine"

    def plain(pipe: Any) -> None:
        pipe.get("none")

    def failing(_: Any) -> None:
        raise ZeroDivisionError

    for client in (redis, theirs):
        await client.set("n", 0)
        assert await client.transaction(add, "n") == [True, "1"]
        assert await client.transaction(add, "n", value_from_callable=True) == "mine"
        assert await client.transaction(plain) == [None]
        with pytest.raises(ZeroDivisionError):
            await client.transaction(failing, "n")
    await handed_back(redis)


async def test_a_transaction_that_never_succeeds_ends_with_watch_error_in_its_budget(
    redis: AnyClient,
) -> None:
    async def lose(pipe: AnyClient) -> None:
        await redis.incr("n")
        pipe.multi()
        pipe.set("n", "never")

    view = redis.with_options(timeout=0.3)
    async with asyncio.timeout(10):
        with pytest.raises(WatchError):
            await view.transaction(lose, "n")
    assert await redis.get("n") != "never"
    await handed_back(redis)


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "killed"])
async def test_a_failover_between_watch_and_execute_is_a_watch_error(
    group: EmbeddedSentinel, *, planned: bool
) -> None:
    redis: AnyClient = RedisClient(group.settings)
    async with redis, redis.pipeline() as pipe:
        await pipe.watch("n")
        pipe.multi()
        pipe.set("n", "written")
        old = await fail_over(group, planned=planned)
        new = await group.wait_for_failover(old)
        async with asyncio.timeout(15):
            while redis.topology.master != new.address:
                await asyncio.sleep(0.01)
            with pytest.raises(WatchError):
                await pipe.execute()
            assert await redis.get("n") is None
        await handed_back(redis)


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "killed"])
async def test_transactions_go_on_over_a_failover_and_count_exactly(
    group: EmbeddedSentinel, *, planned: bool
) -> None:
    redis: AnyClient = RedisClient(group.settings)

    async def add(pipe: AnyClient) -> None:
        value = int(await pipe.get("counter") or 0)
        pipe.multi()
        pipe.set("counter", value + 1)
        await redis.wait(2, 500)  # so that what was counted is not lost with the old master

    async with redis:
        done = unknown = 0
        failover = asyncio.create_task(fail_over(group, planned=planned, after=0.1))
        async with asyncio.timeout(25):
            while not failover.done() or redis.topology.master == failover.result().address:
                try:
                    await redis.transaction(add, "counter")
                    done += 1
                except RedisConnectionError:
                    unknown += 1
            await redis.transaction(add, "counter")
        counted = int(await redis.get("counter"))
        assert unknown <= 2  # the one whose EXEC was in the air, or whose WAIT was
        assert done + 1 <= counted + 1  # the last before the cut may not have been replicated
        assert counted <= done + 1 + unknown
        await handed_back(redis)


async def fail_over(group: EmbeddedSentinel, *, planned: bool, after: float = 0.0) -> Any:
    await asyncio.sleep(after)
    return await (group.failover() if planned else group.kill_master())


@pytest.mark.asyncio
async def test_a_watching_pipeline_of_the_replica_view_refuses_writes(
    calm_redis: RedisClient,
) -> None:
    """
    WATCH sends commands at once: the view's promise holds there as well.
    """
    await calm_redis.delete("watched")
    async with calm_redis.replica.pipeline() as pipe:
        await pipe.watch("watched")
        with pytest.raises(ReadOnlyViewError):
            pipe.set("watched", 5)
        assert await pipe.get("watched") is None
    assert await calm_redis.get("watched") is None
