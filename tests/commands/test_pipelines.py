"""
Pipelines: batches, MULTI/EXEC, WATCH, and how they end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from sahool_cache import NeedsOwnConnectionError, ReadOnlyViewError, RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import AnyClient, lent, outcome
from tests.commands.rows.row import described

pytestmark = pytest.mark.asyncio

BOTH = pytest.mark.parametrize("transaction", [True, False], ids=["transaction", "batch"])


@pytest_asyncio.fixture
async def redis(calm_redis: RedisClient) -> RedisClient:
    return calm_redis


@pytest_asyncio.fixture
async def theirs(calm: EmbeddedSentinel) -> AsyncIterator[Redis]:
    host, port = calm.master.address
    async with Redis(host=host, port=port, decode_responses=True) as theirs:
        yield theirs


@BOTH
async def test_commands_chain_and_results_come_in_order(
    redis: AnyClient, *, transaction: bool
) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        chained = pipe.set("a", 1).incr("a").hset("h", mapping={"x": "y"}).hgetall("h").get("none")
        assert chained is pipe
        assert len(pipe) == 5
        assert await pipe.execute() == [True, 2, 1, {"x": "y"}, None]
        assert len(pipe) == 0
        assert await pipe.execute() == []
        assert await pipe.get("a").execute() == ["2"]
    assert lent(redis) == 0


@BOTH
async def test_an_empty_pipeline_gives_an_empty_list(
    redis: AnyClient, *, transaction: bool
) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        assert await pipe.execute() == []
    assert bool(redis.pipeline()) is True


@BOTH
async def test_an_mget_of_nothing_is_an_empty_list_at_its_place(
    redis: AnyClient, theirs: AnyClient, *, transaction: bool
) -> None:
    results = []
    for client in (redis, theirs):
        async with client.pipeline(transaction=transaction) as pipe:
            pipe.set("a", 1).mget([]).get("a").mget([]).mget("a", "none")
            results.append(await pipe.execute())
    assert described(results[0]) == described(results[1])


@BOTH
async def test_a_pipeline_of_nothing_but_an_mget_of_nothing(
    redis: AnyClient, theirs: AnyClient, *, transaction: bool
) -> None:
    results = []
    for client in (redis, theirs):
        pipe = client.pipeline(transaction=transaction)
        results.append(await outcome(pipe.mget([]).execute))
    assert described(results[0]) == described(results[1])


@BOTH
async def test_ten_thousand_commands(redis: AnyClient, *, transaction: bool) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        for number in range(5000):
            pipe.set(f"n:{number}", number)
            pipe.get(f"n:{number}")
        results = await pipe.execute()
    assert results[::2] == [True] * 5000
    assert results[1::2] == [str(number) for number in range(5000)]


@BOTH
async def test_many_pipelines_at_once_keep_their_replies(
    redis: AnyClient, *, transaction: bool
) -> None:
    async def one(number: int) -> Any:
        async with redis.pipeline(transaction=transaction) as pipe:
            return await pipe.echo(f"{number}").lpush("l", number).echo(f"{number}!").execute()

    replies = await asyncio.gather(*(one(number) for number in range(200)))
    assert [reply[0] for reply in replies] == [str(number) for number in range(200)]
    assert [reply[2] for reply in replies] == [f"{number}!" for number in range(200)]
    assert sorted(reply[1] for reply in replies) == list(range(1, 201))


@BOTH
@pytest.mark.parametrize("raising", [True, False])
async def test_a_wrong_type_in_the_middle_is_told_as_redis_py_does_and_the_rest_ran(
    redis: AnyClient, theirs: AnyClient, *, transaction: bool, raising: bool
) -> None:
    given = []
    for client in (redis, theirs):
        await client.delete("a", "text", "z")
        pipe = client.pipeline(transaction=transaction)
        pipe.set("a", 1).set("text", "x").lpush("text", 1).incr("a").get("none").incr("text")
        given.append(await outcome(pipe.execute, raise_on_error=raising))
        assert await client.get("a") == "2"
    assert described(given[0]) == described(given[1])
    assert isinstance(given[0], ResponseError) == raising


@pytest.mark.parametrize("raising", [True, False])
async def test_what_is_refused_while_queueing_aborts_all_of_a_transaction(
    redis: AnyClient, theirs: AnyClient, *, raising: bool
) -> None:
    given = []
    for client in (redis, theirs):
        pipe = client.pipeline()
        pipe.set("never", 1).execute_command("NONSENSE", "a").execute_command("GET").set("never", 2)
        given.append(await outcome(pipe.execute, raise_on_error=raising))
        assert await client.get("never") is None
    assert described(given[0]) == described(given[1])
    assert "of pipeline caused error" in str(given[0])


@BOTH
@pytest.mark.parametrize("decoded", [True, False])
async def test_values_that_are_not_utf_8(
    redis: AnyClient, *, transaction: bool, decoded: bool
) -> None:
    view = redis.with_options(decode_responses=decoded)
    async with view.pipeline(transaction=transaction) as pipe:
        pipe.set("bytes", b"\xff\x00").get("bytes").set("after", 1)
        if decoded:
            with pytest.raises(UnicodeDecodeError):
                await pipe.execute()
        else:
            assert await pipe.execute() == [True, b"\xff\x00", True]
    assert await redis.get("after") == "1"
    assert await redis.echo("in step") == "in step"


@BOTH
async def test_scripts_in_a_pipeline_need_not_be_known_to_the_server(
    redis: AnyClient, *, transaction: bool
) -> None:
    await redis.script_flush()
    script = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    other = redis.register_script("return {ARGV[1], 'x'}")
    async with redis.pipeline(transaction=transaction) as pipe:
        pipe.set("n", 1)
        await script(keys=["n"], args=[5], client=pipe)
        await other(args=["y"], client=pipe)
        await script(keys=["n"], args=[10], client=pipe)
        pipe.get("n")
        assert await pipe.execute() == [True, 6, ["y", "x"], 16, "16"]
        assert await pipe.get("n").execute() == ["16"]


@BOTH
async def test_an_error_of_a_script_is_told_at_its_place(
    redis: AnyClient, *, transaction: bool
) -> None:
    script = redis.register_script("return redis.error_reply('MINE own words')")
    async with redis.pipeline(transaction=transaction) as pipe:
        pipe.set("a", 1)
        await script(client=pipe)
        pipe.get("a")
        first, second, third = await pipe.execute(raise_on_error=False)
    assert (first, third) == (True, "1")
    assert isinstance(second, ResponseError)
    assert str(second).endswith("MINE own words")


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        *("SELECT 1", "AUTH pw", "MULTI", "EXEC", "DISCARD", "SUBSCRIBE c", "MONITOR"),
        *("CLIENT REPLY OFF", "client setname x", "RESET", "QUIT", "HELLO 2"),
    ],
)
async def test_a_command_that_changes_its_connection_cannot_be_staged(
    redis: AnyClient, words: str, *, transaction: bool
) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        pipe.set("a", 1)
        with pytest.raises(NeedsOwnConnectionError, match=words.split(maxsplit=1)[0].upper()):
            pipe.execute_command(*words.split())
        assert await pipe.execute() == [True]


@BOTH
async def test_blocking_commands_in_a_pipeline(redis: AnyClient, *, transaction: bool) -> None:
    async with redis.pipeline(transaction=transaction) as pipe:
        pipe.rpush("q", "x").blpop("q", 0).blpop("q", 0.01).set("a", 1)
        async with asyncio.timeout(5):
            assert await pipe.execute() == [1, ("q", "x"), None, True]
    assert lent(redis) == 0


async def test_leaving_the_block_forgets_what_was_staged(redis: AnyClient) -> None:
    async with redis.pipeline() as pipe:
        pipe.set("a", 1)
    assert len(pipe) == 0
    assert await redis.get("a") is None


async def test_cancelling_an_execute_leaves_others_in_step(redis: AnyClient) -> None:
    for transaction in (True, False):
        for step in range(6):
            pipe = redis.pipeline(transaction=transaction)
            for number in range(50):
                pipe.echo(str(number))
            task = asyncio.create_task(pipe.execute())
            for _ in range(step):
                await asyncio.sleep(0)
            task.cancel()
            assert await redis.echo(f"{step}") == f"{step}"
            await asyncio.wait({task})
    assert lent(redis) == 0


async def test_a_batch_from_a_replica_reads_and_refuses_writes(
    calm: EmbeddedSentinel, redis: AnyClient
) -> None:
    await redis.mset({"a": 1, "b": 2})
    await redis.wait(2, 5000)
    for node in calm.replicas:
        await calm.command(node, "CONFIG", "RESETSTAT")
    async with redis.pipeline(transaction=False, use_slave=True) as pipe:
        with pytest.raises(ReadOnlyViewError, match="SET"):
            pipe.set("a", 2)
        assert await pipe.get("a").mget("a", "b").get("none").execute() == ["1", ["1", "2"], None]
    served = [await calm.command(node, "INFO", "commandstats") for node in calm.replicas]
    assert sum("cmdstat_mget" in str(stats) for stats in served) == 1
    async with redis.pipeline(use_slave=True) as pipe:
        assert await pipe.get("a").get("b").execute() == ["1", "2"]


async def test_a_pipeline_of_the_replica_view_reads_only(redis: AnyClient) -> None:
    async with redis.replica.pipeline(transaction=False) as pipe:
        with pytest.raises(ReadOnlyViewError):
            pipe.incr("a")
        assert await pipe.exists("none").execute() == [0]


async def test_a_pipeline_of_a_closed_client_raises(calm: EmbeddedSentinel) -> None:
    client: AnyClient = RedisClient(calm.settings)
    await client.open()
    pipe = client.pipeline()
    await client.aclose()
    with pytest.raises(RedisConnectionError, match="closed"):
        await pipe.get("a").execute()
