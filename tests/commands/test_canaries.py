"""
Whatever is sent, every other caller's reply stays its own, and nothing hangs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import DataError, RedisError, ResponseError

from sahool_cache import NeedsOwnConnectionError, RedisClient, UsageError
from sahool_cache.embedded import EmbeddedSentinel

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_MOST = 30.0
"""Seconds for any one test's calls: far more than they need, so what takes longer hangs."""

LEFT_OUT = {
    "FAILOVER": "moves the master",
    "REPLICAOF": "makes the master a replica",
    "SHUTDOWN": "ends the server",
    "SLAVEOF": "makes the master a replica",
    "CLIENT PAUSE": "holds every other call as long as its argument says; sent below",
    "SAVE": "writes into the working directory",
    "BGSAVE": "writes into the working directory",
    "BGREWRITEAOF": "writes into the working directory",
}

REFUSED = {
    "pubsub()": "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE",
    "pipeline()": "MULTI EXEC DISCARD WATCH UNWATCH",
    "monitor()": "MONITOR",
    "aclose()": "QUIT",
    "`password` in `RedisSettings`": "AUTH",
    "`db` in `RedisSettings`": "SELECT",
    "redis-cli": "SYNC PSYNC REPLCONF CLUSTER|SYNCSLOTS",
    "client()": (
        "HELLO RESET ASKING READONLY READWRITE SCRIPT|DEBUG CLIENT|REPLY CLIENT|TRACKING "
        "CLIENT|CACHING CLIENT|SETNAME CLIENT|SETINFO CLIENT|NO-EVICT CLIENT|NO-TOUCH "
        "CLIENT|CAPA CLIENT|IMPORT-SOURCE"
    ),
}
"""What the refusal of these commands must name."""

NAMED_BY = {
    name.replace("|", " "): method for method, names in REFUSED.items() for name in names.split()
}

Outcome = Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    async with RedisClient(calm.settings) as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def commands(redis: RedisClient) -> dict[str, int]:
    """
    Every command and sub-command of the server, with its arity; containers have none.
    """
    # Not by the method: redis-py's callback leaves the sub-commands out.
    async with redis.client() as connection:
        listed = map(str, await connection.command_list())
        names = [name.replace("|", " ").upper() for name in listed]
        arities: dict[str, int] = {}
        script = "return redis.call('COMMAND', 'INFO', ARGV[1])[1][2]"
        for name in names:
            arities[name] = await connection.eval(script, 0, name.lower().replace(" ", "|"))
    containers = {name.partition(" ")[0] for name in names if " " in name}
    return {name: arity for name, arity in arities.items() if name not in containers}


class Canaries:
    """
    Calls whose replies tell whose they are.
    """

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis
        self._sent = 0
        self._tasks: list[tuple[str, asyncio.Task[Any]]] = []

    def sing(self) -> None:
        """
        Sends one more, by GET and ECHO in turn.
        """
        self._sent += 1
        token = f"canary:{self._sent}"
        call = self._redis.echo(token) if self._sent % 2 else self._ask(token)
        self._tasks.append((token, asyncio.ensure_future(call)))

    async def _ask(self, token: str) -> str:
        # GET of a key that FLUSHALL may have taken away must still give that key's value.
        found = await self._redis.get(token)
        assert found in (None, token)
        return token

    async def check(self) -> int:
        """
        How many sang, all in step.
        """
        replies = await asyncio.gather(*(task for _, task in self._tasks))
        assert replies == [token for token, _ in self._tasks]
        self._tasks.clear()
        return len(replies)


@pytest_asyncio.fixture(loop_scope="module")
async def canaries(redis: RedisClient) -> Canaries:
    await redis.mset({f"canary:{number}": f"canary:{number}" for number in range(1, 5001)})
    return Canaries(redis)


async def all_of(calls: Iterable[Awaitable[Outcome]], canaries: Canaries) -> list[Outcome]:
    """
    What each call gave or raised, all sent at once with a canary between any two.
    """
    tasks: list[asyncio.Future[Outcome]] = []
    canaries.sing()
    for call in calls:
        tasks.append(asyncio.ensure_future(call))
        canaries.sing()
    async with asyncio.timeout(AT_MOST):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert await canaries.check() == len(tasks) + 1
    return outcomes


def minimal(name: str, arity: int, argument: str | bytes) -> tuple[Any, ...]:
    words = name.split()
    return (*words, *([argument] * (abs(arity) - len(words))))


@pytest.mark.parametrize("argument", ["a", "1", b"\x00\xff\r\n$3\r\n", ""], ids=repr)
async def test_every_command_of_the_server_leaves_the_others_in_step(
    calm: EmbeddedSentinel,
    redis: RedisClient,
    commands: dict[str, int],
    canaries: Canaries,
    argument: str | bytes,
) -> None:
    assert len(commands) > 300
    calls = [
        minimal(name, arity, argument) for name, arity in commands.items() if name not in LEFT_OUT
    ]
    random.Random(7).shuffle(calls)
    outcomes = await all_of((redis.execute_command(*call) for call in calls), canaries)
    for call, outcome in zip(calls, outcomes, strict=True):
        name = next(name for name in (" ".join(map(str, call[:2])), call[0]) if name in commands)
        assert isinstance(outcome, NeedsOwnConnectionError) == (name in NAMED_BY), (call, outcome)
        await check_error(calm, call, outcome)


async def test_every_command_with_too_few_and_too_many_arguments_leaves_the_others_in_step(
    calm: EmbeddedSentinel, redis: RedisClient, commands: dict[str, int], canaries: Canaries
) -> None:
    names = [tuple(name.split()) for name in commands if name not in LEFT_OUT.keys() | NAMED_BY]
    calls = [(*words, *["a"] * count) for words in names for count in (0, 40)]
    outcomes = await all_of((redis.execute_command(*call) for call in calls), canaries)
    for call, outcome in zip(calls, outcomes, strict=True):
        await check_error(calm, call, outcome)


async def check_error(group: EmbeddedSentinel, call: tuple[Any, ...], outcome: Outcome) -> None:
    """
    Fails if the outcome is another exception than Redis' own, unless redis-py raises it, too.
    """
    fine = (ResponseError, DataError, UnicodeDecodeError)  # DUMP as text
    if isinstance(outcome, Exception) and not isinstance(outcome, fine):
        host, port = group.master.address
        async with Redis(host=host, port=port, decode_responses=True) as theirs:
            with pytest.raises(type(outcome)) as caught:
                await theirs.execute_command(*call)
        assert str(caught.value) == str(outcome)


async def test_every_command_that_changes_its_connection_names_what_to_use(
    redis: RedisClient, commands: dict[str, int]
) -> None:
    known = set(commands) | {"CLUSTER SYNCSLOTS"}
    for name, method in NAMED_BY.items():
        assert name in known, f"{name} is no command of the server"
        words = tuple(name.split())
        for spelling in spellings(words):
            with pytest.raises(NeedsOwnConnectionError) as caught:
                await redis.execute_command(*spelling, *["x"] * 3)
            assert method in str(caught.value)
            assert words[0] in str(caught.value)


def spellings(words: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
    """
    The ways in which redis-py lets one name a command.
    """
    joined = " ".join(words)
    yield words
    yield (joined,)
    yield (joined.lower(),)
    yield (joined.encode(),)
    yield (f"  {joined.title()}  ",)
    yield tuple(word.lower() for word in words)
    yield tuple(word.encode() for word in words)
    yield tuple(bytearray(word.lower().encode()) for word in words)


@pytest.mark.parametrize(
    "name", ["NONSENSE", "nonsense", b"N\xffNSENSE", "GETX", "CONFIG NONSENSE", "É"]
)
async def test_an_unknown_command_gets_the_servers_error(
    redis: RedisClient, canaries: Canaries, name: str | bytes
) -> None:
    calls = (redis.execute_command(name, "a", b"\xff") for _ in range(30))
    for outcome in await all_of(calls, canaries):
        assert isinstance(outcome, ResponseError)
        assert "unknown" in str(outcome)


@pytest.mark.parametrize(
    "name", [None, 5, 1.5, ["GET"], "", "   ", b"", "SELECT\0x", b"\0", {}, object()]
)
async def test_what_is_no_name_of_a_command_is_refused(
    redis: RedisClient, canaries: Canaries, name: object
) -> None:
    calls = (redis.execute_command(name, "a") for _ in range(3))
    for outcome in await all_of(calls, canaries):
        assert isinstance(outcome, DataError), outcome


async def test_no_command_at_all_is_refused(redis: RedisClient) -> None:
    with pytest.raises(DataError):
        await redis.execute_command()


async def test_calls_that_are_cancelled_leave_the_others_in_step(
    redis: RedisClient, canaries: Canaries
) -> None:
    chance = random.Random(11)
    await redis.set("big", "x" * 100_000)
    tasks = []
    for number in range(600):
        canaries.sing()
        args = [("GET", "big"), ("MGET", "big", "big"), ("NOSUCH",)][number % 3]
        tasks.append(asyncio.create_task(redis.execute_command(*args)))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    async with asyncio.timeout(AT_MOST):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await canaries.check()
    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    for number, outcome in enumerate(outcomes):
        if not isinstance(outcome, BaseException):
            assert outcome == ["x" * 100_000, ["x" * 100_000] * 2][number % 3]
        else:
            assert isinstance(outcome, asyncio.CancelledError | ResponseError)


async def test_a_pause_of_the_servers_clients_hangs_nobody(
    redis: RedisClient, canaries: Canaries
) -> None:
    calls = [redis.client_pause(200), redis.client_pause(200, all=False), redis.client_unpause()]
    assert all(outcome in (True, "OK") for outcome in await all_of(calls, canaries))


async def test_a_reply_that_is_not_utf_8_is_that_callers_trouble_alone(
    redis: RedisClient, canaries: Canaries
) -> None:
    await redis.rpush("raw", b"fine", b"\xff", b"fine")
    calls = [redis.lrange("raw", 0, -1) for _ in range(100)]
    outcomes = await all_of(calls, canaries)
    assert all(isinstance(outcome, UnicodeDecodeError) for outcome in outcomes)


async def test_usage_errors_are_redis_pys_data_errors(redis: RedisClient) -> None:
    with pytest.raises(DataError):
        await redis.execute_command("SELECT", 1)
    assert issubclass(UsageError, DataError)
    assert issubclass(NeedsOwnConnectionError, RedisError)
