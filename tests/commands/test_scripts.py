"""
Scripts: by their digest, wherever they land.
"""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from sahool_cache import (
    NeedsOwnConnectionError,
    OutcomeUnknownError,
    ReadOnlyViewError,
    RedisClient,
)
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import outcome
from tests.commands.rows.row import described
from tests.commands.waiting import awaited

pytestmark = pytest.mark.asyncio

SLOW = """
local function now() local t = redis.call('TIME'); return t[1] + t[2] / 1000000 end
local stop = now() + 1.2
while now() < stop do end
return 1
"""
COUNT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


async def test_a_registered_script_equals_redis_pys(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    host, port = calm.master.address
    source = "return {KEYS[1], ARGV[1], #ARGV, redis.call('GET', 'none')}"
    async with Redis(host=host, port=port, decode_responses=True) as theirs:
        mine, other = calm_redis.register_script(source), theirs.register_script(source)
        assert mine.sha == other.sha
        for keys, args in ((["k"], ["a"]), (["k"], [1, 2.5, b"x"]), (["k", "l"], [])):
            given = await outcome(mine, keys=keys, args=args)
            expected = await outcome(other, keys=keys, args=args)
            assert described(given) == described(expected)


async def test_a_script_that_the_server_does_not_know_is_sent_in_full_once(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    await calm_redis.script_flush()
    script = calm_redis.register_script(COUNT)
    assert await calm_redis.script_exists(script.sha) == [False]
    assert await script(keys=["n"], args=[2]) == 2
    assert await calm_redis.script_exists(script.sha) == [True]
    await calm_redis.config_resetstat()
    assert await asyncio.gather(*(script(keys=["n"], args=[0]) for _ in range(20))) == [2] * 20
    stats = await calm_redis.info("commandstats")
    assert "cmdstat_eval" not in stats
    assert stats["cmdstat_evalsha"]["calls"] == 20


async def test_scripts_in_bytes_and_with_other_alphabets(calm_redis: RedisClient) -> None:
    assert await calm_redis.register_script("return 'ü€😀' .. ARGV[1]")(args=["!"]) == "ü€😀!"
    assert await calm_redis.register_script("return 'ü'".encode())() == "ü"
    view = calm_redis.with_options(decode_responses=False)
    assert await view.register_script("return ARGV[1]")(args=[b"\xff"]) == b"\xff"


async def test_a_script_runs_on_the_client_it_is_given(calm_redis: RedisClient) -> None:
    script = calm_redis.register_script("return ARGV[1]")
    view = calm_redis.with_options(decode_responses=False)
    assert await script(args=["x"], client=view) == b"x"
    async with calm_redis.client() as connection:
        assert await script(args=["x"], client=connection) == "x"


async def test_errors_of_a_script_are_redis_pys(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    host, port = calm.master.address
    sources = [
        "this is no lua",
        "return redis.error_reply('MINE own words')",
        "return redis.error_reply('ERR')",
        "return redis.error_reply('')",
        "return redis.error_reply('WRONGTYPE mine')",
        "return redis.call('LPUSH', 'text', 1)",
        "return redis.call('NOSUCH')",
        "error('thrown')",
        "error({err='TABLE thrown'})",
        "return {redis.error_reply('inner'), 1}",
        "local x = nil; return x.y",
    ]
    await calm_redis.set("text", "x")
    async with Redis(host=host, port=port, decode_responses=True) as theirs:
        for source in sources:
            given = await outcome(calm_redis.register_script(source))
            expected = await outcome(theirs.register_script(source))
            if isinstance(expected, ResponseError) and "compil" in str(expected):
                assert isinstance(given, ResponseError)
                assert "compil" in str(given)
            else:
                assert described(given) == described(expected), source
    assert await calm_redis.echo("in step") == "in step"


async def test_an_error_that_names_another_server_is_not_followed(calm_redis: RedisClient) -> None:
    for words in ("MOVED 1 10.0.0.1:1", "MOVED here and there", "ASK"):
        script = calm_redis.register_script(f"return redis.error_reply('{words}')")
        with pytest.raises(ResponseError):
            await asyncio.wait_for(script(), 5)
    assert await calm_redis.ping() is True


async def test_evalsha_of_an_unknown_script_is_no_script_error(calm_redis: RedisClient) -> None:
    with pytest.raises(NoScriptError):
        await calm_redis.evalsha("0" * 40, 0)


async def test_eval_ro_is_served_by_a_replica_and_eval_is_refused_there(
    calm: EmbeddedSentinel, calm_redis: RedisClient
) -> None:
    await calm_redis.set("a", 1)
    await calm_redis.wait(2, 5000)
    for node in calm.replicas:
        await calm.command(node, "CONFIG", "RESETSTAT")
    source = "return redis.call('GET', KEYS[1])"
    for _ in range(4):
        assert await calm_redis.replica.eval_ro(source, 1, "a") == "1"
    stats = [str(await calm.command(node, "INFO", "commandstats")) for node in calm.replicas]
    assert any("cmdstat_eval_ro" in each for each in stats)
    for call in (calm_redis.replica.eval, calm_redis.replica.evalsha):
        with pytest.raises(ReadOnlyViewError):
            await call(source, 1, "a")
    with pytest.raises(ResponseError, match="Write commands are not allowed"):
        await calm_redis.replica.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "a")


async def test_evalsha_ro_on_replicas_that_do_not_know_the_script(calm_redis: RedisClient) -> None:
    sha = await calm_redis.script_load("return 5")  # a replica does not learn it from its master
    given = [await outcome(calm_redis.replica.evalsha_ro, sha, 0) for _ in range(4)]
    assert all(isinstance(each, NoScriptError) or each == 5 for each in given)


async def test_a_registered_script_through_the_replica_view_is_refused_at_once(
    calm_redis: RedisClient,
) -> None:
    with pytest.raises(ReadOnlyViewError):
        await calm_redis.replica.register_script("return 1")()


async def test_script_debug_is_refused(calm_redis: RedisClient) -> None:
    with pytest.raises(NeedsOwnConnectionError):
        await calm_redis.execute_command("SCRIPT DEBUG", "YES")


async def test_a_function_follows_by_replication(calm_redis: RedisClient) -> None:
    library = (
        "#!lua name=one\nredis.register_function{function_name='one', "
        "callback=function() return 1 end, flags={'no-writes'}}"
    )
    await calm_redis.function_load(library, replace=True)
    await calm_redis.wait(2, 5000)
    assert await calm_redis.fcall("one", 0) == 1
    assert await calm_redis.replica.fcall_ro("one", 0) == 1


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "killed"])
async def test_a_script_goes_on_at_a_fresh_master(
    group: EmbeddedSentinel, redis: RedisClient, *, planned: bool
) -> None:
    script = redis.register_script(COUNT)
    assert await script(keys=["n"], args=[5]) == 5
    assert await redis.wait(2, 5000) == 2
    for node in group.replicas:
        await group.command(node, "SCRIPT", "FLUSH")
    old = group.master
    await (group.failover() if planned else group.kill_master())
    new = await group.wait_for_failover(old)
    async with asyncio.timeout(10):
        while redis.topology.master != new.address:
            await asyncio.sleep(0.01)
    assert await script(keys=["n"], args=[1]) == 6
    async with redis.pipeline() as pipe:
        await script(keys=["n"], args=[1], client=pipe)
        await redis.script_flush()
        pipe.get("n")
        assert await pipe.execute() == [7, "7"]
    assert await script(keys=["n"], args=[1]) == 8


async def test_a_script_that_never_ends_is_not_repeated_and_can_be_killed(
    calm: EmbeddedSentinel,
) -> None:
    async with RedisClient(calm.settings) as redis:
        await redis.config_set("busy-reply-threshold", 100)
        short = redis.with_options(timeout=0.5)
        with pytest.raises(OutcomeUnknownError, match="EVAL"):
            await short.eval("while true do end", 0)
        async with asyncio.timeout(4):  # less than it takes to give a silent connection up
            assert await redis.script_kill() in (True, "OK")
        async with asyncio.timeout(10):
            assert await redis.echo("again") == "again"
        stats = await redis.info("commandstats")
        assert stats["cmdstat_eval"]["failed_calls"] >= 1


async def test_a_slow_script_delays_the_others_and_no_more(calm_redis: RedisClient) -> None:
    script = asyncio.create_task(awaited(calm_redis.eval(SLOW, 0)))
    await asyncio.sleep(0)
    others = [calm_redis.incr("n") for _ in range(100)]
    async with asyncio.timeout(9):
        assert await asyncio.gather(*others) == list(range(1, 101))
        assert await script == 1
