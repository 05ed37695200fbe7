"""
What arguments may be: any bytes, texts and numbers; anything else is refused before it is sent.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from itertools import chain
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import DataError, RedisError

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.view import View

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Number(IntEnum):
    SEVEN = 7


class Word(StrEnum):
    HELLO = "hello"


class Text(str):
    """
    A `str` that shows itself otherwise.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class Whole(int):
    def __str__(self) -> str:
        return "shown"

    __repr__ = __str__


ACCEPTED = [
    ("ü€😀", "ü€😀".encode()),
    ("", b""),
    (b"", b""),
    (b"\x00\xff\r\n", b"\x00\xff\r\n"),
    (bytearray(b"\xff"), b"\xff"),
    (memoryview(b"abc\xff")[1:], b"bc\xff"),
    (memoryview(b"abcdef")[::2], b"ace"),
    (0, b"0"),
    (-(2**63), b"-9223372036854775808"),
    (2**200, str(2**200).encode()),
    (10**4000, b"1" + b"0" * 4000),
    (1.5, b"1.5"),
    (0.1, b"0.1"),
    (1e300, b"1e+300"),
    (-0.0, b"-0.0"),
    (math.inf, b"inf"),
    (-math.inf, b"-inf"),
    (math.nan, b"nan"),
    (Number.SEVEN, b"7"),
    (Word.HELLO, b"hello"),
    (Text("own"), b"own"),
    (Whole(5), b"5"),
]
REFUSED: list[Any] = [
    None,
    True,
    False,
    [],
    ["a"],
    ("a",),
    {"a": 1},
    {"a"},
    object(),
    int,
    1j,
    Decimal("1.5"),
    Fraction(1, 2),
    10**5000,
    -(10**5000),
    "\ud800",
    "fine\udfff",
    Text("\ud800"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def redis(calm: EmbeddedSentinel) -> AsyncIterator[RedisClient]:
    async with RedisClient(calm.settings) as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def raw(redis: RedisClient) -> View:
    return redis.with_options(decode_responses=False)


def short(value: object) -> str:
    if isinstance(value, int):
        return f"int{value.bit_length()}"
    return ascii(value).partition(" at 0x")[0][:30]  # the same in every process


@pytest.mark.parametrize(("value", "sent"), ACCEPTED, ids=[short(v) for v, _ in ACCEPTED])
async def test_the_bytes_that_arrive(raw: View, value: Any, sent: bytes) -> None:
    assert await raw.echo(value) == sent
    assert await raw.set(value, value)
    assert await raw.get(value) == sent
    assert await raw.execute_command(b"ECHO", value) == sent
    assert await raw.blpop("empty", 0.001) is None
    async with raw.pipeline() as pipe:
        pipe.echo(value)
        pipe.get(value)
        assert await pipe.execute() == [sent, sent]


@pytest.mark.parametrize("value", REFUSED, ids=map(short, REFUSED))
async def test_what_cannot_be_sent_is_a_data_error_and_nothing_is_sent(
    redis: RedisClient, value: Any
) -> None:
    await redis.set("kept", "as it is")
    for command in (("SET", "kept", value), ("NONSENSE", value), ("BLPOP", value, 0.01)):
        with pytest.raises(DataError):
            await redis.execute_command(*command)
    with pytest.raises(DataError):
        await redis.replica.execute_command("GET", value)
    with pytest.raises(DataError):
        await redis.eval("return 1", 0, value)
    assert await redis.get("kept") == "as it is"


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize("value", REFUSED, ids=map(short, REFUSED))
async def test_a_pipeline_with_what_cannot_be_sent_sends_nothing(
    redis: RedisClient, value: Any, *, transaction: bool
) -> None:
    await redis.delete("first")
    async with redis.pipeline(transaction=transaction) as pipe:
        pipe.set("first", 1)
        with pytest.raises(DataError):  # when it is staged or when it is sent
            await pipe.execute_command("SET", "k", value).execute()
    assert await redis.exists("first") == 0
    assert await redis.ping() is True


async def test_the_message_of_a_data_error_does_not_hold_the_value(redis: RedisClient) -> None:
    with pytest.raises(DataError) as caught:
        await redis.set("k", ["a secret"])  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    assert "list" in str(caught.value)


HUGE = """
import asyncio, sys
from redis.exceptions import DataError
from sahool_cache import RedisClient, RedisSettings

async def main():
    settings = RedisSettings.model_validate_json(sys.argv[1])
    async with RedisClient(settings) as redis:
        async with redis.pubsub() as pubsub:
            for call in (pubsub.subscribe, pubsub.psubscribe, pubsub.unsubscribe):
                try:
                    await call(10**5000)
                except DataError:
                    print("DataError")
        async with redis.client() as connection:
            try:
                await connection.client_setname(10**5000)
            except DataError:
                print("DataError")
        for command in ("PUBLISH", "XREAD", "BLPOP"):
            try:
                await redis.execute_command(command, "BLOCK", 1, "STREAMS", "a", 10**5000)
            except DataError:
                print("DataError")
        try:
            await redis.register_script("return 1")(args=[10**5000])
        except DataError:
            print("DataError")

asyncio.run(main())
"""


async def test_an_int_that_crashes_hiredis_is_a_data_error_everywhere(
    calm: EmbeddedSentinel,
) -> None:
    """
    In a process of its own: where it is not caught, the process dies.
    """
    sentinel = calm.sentinels[0].address
    document = f'{{"sentinels": ["{sentinel}"], "master_name": "sahool-master"}}'
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", HUGE, document],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["DataError"] * 8


anything = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.binary(max_size=20).map(bytearray),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["SET", "EX", "NX", "STORE", "*", "0", "-1", "\r\n", "$5\r\nabcde", "\ud83d"]),
)
NAMES = """
    GET SET MGET MSET HSET HGETALL LPUSH LRANGE LPOP SADD SMEMBERS SPOP ZADD ZRANGE XADD XRANGE
    APPEND DEL EXISTS EXPIRE TYPE KEYS SCAN SORT EVAL BITFIELD SETRANGE GETEX OBJECT COPY LCS
    GEOADD PFADD DUMP RESTORE ECHO PING TTL RANDOMKEY RENAME GEOSEARCH ZUNIONSTORE NOSUCH CONFIG
"""
any_command = st.sampled_from(NAMES.split())
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(pairs=st.dictionaries(st.binary(max_size=300), st.binary(max_size=300), min_size=1))
async def test_any_bytes_come_back_as_they_were(raw: View, pairs: dict[bytes, bytes]) -> None:
    await asyncio.gather(*(raw.set(key, value) for key, value in pairs.items()))
    values = await asyncio.gather(*(raw.get(key) for key in pairs))
    assert dict(zip(pairs, values, strict=True)) == pairs
    async with raw.pipeline(transaction=False) as pipe:
        for key in pairs:
            pipe.get(key)
        assert await pipe.execute() == list(pairs.values())


@quick
@given(pairs=st.dictionaries(st.text(max_size=50), st.text(max_size=50), min_size=1))
async def test_any_text_comes_back_as_it_was(redis: RedisClient, pairs: dict[str, str]) -> None:
    await redis.mset(pairs)
    assert await redis.mget(list(pairs)) == list(pairs.values())
    await redis.delete("of text")
    await redis.execute_command("HSET", "of text", *chain.from_iterable(pairs.items()))
    assert await redis.hgetall("of text") == pairs


@quick
@given(calls=st.lists(st.tuples(any_command, st.lists(anything, max_size=5)), max_size=20))
async def test_no_arguments_bring_the_others_out_of_step(
    redis: RedisClient, calls: list[tuple[str, list[Any]]]
) -> None:
    tasks = []
    for number, (name, args) in enumerate(calls):
        tasks.append(asyncio.create_task(redis.execute_command(name, *args)))
        tasks.append(asyncio.create_task(redis.execute_command("ECHO", f"canary {number}")))
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == [f"canary {number}" for number in range(len(calls))]
    for outcome in outcomes[::2]:
        if isinstance(outcome, Exception):
            # A callback may meet a reply that it was not made for: redis-py's, and so ours.
            assert isinstance(outcome, RedisError | UnicodeDecodeError | TypeError | ValueError)
