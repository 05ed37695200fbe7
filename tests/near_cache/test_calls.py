"""
Which calls are kept, and that the keys which they depend on are those that the server sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import Any

import pytest

from sahool_cache.commands import SPECS
from sahool_cache.connection.packing import pack
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.near_cache import CACHED
from sahool_cache.near_cache.calls import MOST_KEYS, keys_of, name_of, probe_of

SAMPLES: dict[str, tuple[Any, ...]] = {
    "GETRANGE": ("k", 0, -1),
    "SUBSTR": ("k", 0, -1),
    "GETBIT": ("k", 7),
    "BITPOS": ("k", 1),
    "HGET": ("k", "f"),
    "HMGET": ("k", "f", "g"),
    "HEXISTS": ("k", "f"),
    "HSTRLEN": ("k", "f"),
    "LINDEX": ("k", 0),
    "LPOS": ("k", "v"),
    "LRANGE": ("k", 0, -1),
    "SISMEMBER": ("k", "m"),
    "SMISMEMBER": ("k", "m", "n"),
    "ZCOUNT": ("k", 0, 1),
    "ZLEXCOUNT": ("k", "-", "+"),
    "ZSCORE": ("k", "m"),
    "ZMSCORE": ("k", "m", "n"),
    "ZRANK": ("k", "m"),
    "ZREVRANK": ("k", "m"),
    "ZRANGE": ("k", 0, -1),
    "ZRANGEBYLEX": ("k", "-", "+"),
    "ZRANGEBYSCORE": ("k", 0, 1),
    "ZREVRANGE": ("k", 0, -1),
    "ZREVRANGEBYLEX": ("k", "+", "-"),
    "ZREVRANGEBYSCORE": ("k", 1, 0),
    "GEODIST": ("k", "m", "n"),
    "GEOHASH": ("k", "m"),
    "GEOPOS": ("k", "m"),
    "GEOSEARCH": ("k", "FROMMEMBER", "m", "BYRADIUS", 1, "km"),
    "XRANGE": ("k", "-", "+"),
    "XREVRANGE": ("k", "+", "-"),
    "MGET": ("k", "l", "m", "k"),
    "EXISTS": ("k", "l"),
    "SDIFF": ("k", "l"),
    "SINTER": ("k", "l"),
    "SUNION": ("k", "l"),
}
"""Arguments of those that take more than one key."""


class Colour(str, Enum):  # noqa: UP042  # its str() is not what is sent
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Odd(float):
    def __repr__(self) -> str:
        return "odd"


class Spelt(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "otherwise"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedSentinel]:
    group = EmbeddedSentinel(replicas=0, sentinels=1)
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


def test_every_kept_command_is_a_read_without_anything_about_it() -> None:
    for name in CACHED:
        spec = SPECS[name]
        assert spec.reads, name
        assert spec.plain, name


@pytest.mark.asyncio
async def test_the_keys_of_each_command_are_those_that_the_server_sees(
    server: EmbeddedSentinel,
) -> None:
    for name in CACHED:
        call = (name, *SAMPLES.get(name, ("k",)))
        seen = await server.command(server.master, "COMMAND", "GETKEYS", *map(str, call))
        assert isinstance(seen, list)
        assert keys_of(call) == list(dict.fromkeys(map(name_of, seen))), name


@pytest.mark.asyncio
async def test_the_server_gives_each_command_the_flags_of_a_read_that_it_tracks(
    server: EmbeddedSentinel,
) -> None:
    for name in CACHED:
        ((_, _, flags, *_),) = await server.command(server.master, "COMMAND", "INFO", name)  # type: ignore[misc]
        told = {name_of(flag) for flag in flags}
        assert "readonly" in told, name
        assert "write" not in told, name
        assert "movablekeys" not in told, name


@pytest.mark.parametrize(
    "key",
    [
        *("k", "", b"k", b"", bytearray(b"k"), memoryview(b"k"), 0, -7, 10**30, 1.5, 1e300),
        *(float("inf"), -0.0, b"\xff\x00", "\u0661", "a\x00b", "\U0001f600" * 500, "x" * 100_000),
        *(Colour.RED, Level.HIGH, Odd(2.5), Spelt("as it is")),
    ],
)
def test_the_name_of_a_key_is_what_is_sent(key: Any) -> None:
    name = name_of(key).encode("utf-8", "surrogateescape")
    assert pack(("GET", key)) == pack(("GET", name))


def test_one_key_has_one_name_however_it_is_written() -> None:
    written: list[tuple[Any, ...]] = [
        ("é", "é".encode(), memoryview("é".encode())),
        (5, "5", b"5", Level.HIGH + 2),
        (1.5, "1.5", b"1.5"),
    ]
    for spellings in written:
        assert len({name_of(key) for key in spellings}) == 1


@pytest.mark.parametrize(
    ("call", "found_by_name"),
    [
        (("GET", "k"), True),
        (("GET", b"k"), True),
        (("GET", "k", "l"), False),
        (("STRLEN", "k"), False),
        (("GET", b"\xff"), False),
    ],
)
def test_only_a_get_of_a_text_is_found_by_the_name(
    call: tuple[Any, ...], *, found_by_name: bool
) -> None:
    names = keys_of(call)
    assert names is not None
    packed = pack(call)
    assert probe_of(call, names[0], packed) == (name_of(call[1]) if found_by_name else packed)


def test_what_names_no_key_or_too_many_is_not_kept() -> None:
    assert keys_of(("GET",)) is None
    assert keys_of(("MGET",)) is None
    assert keys_of(("TTL", "k")) is None
    assert keys_of(("MGET", *range(MOST_KEYS + 1))) is None
    assert keys_of(("MGET", *range(MOST_KEYS))) is not None
    assert keys_of(("EXISTS", *["k"] * 200)) == ["k"]
