from __future__ import annotations

import array
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis._parsers.encoders import Encoder
from redis.exceptions import DataError

from sahool_cache.connection.packing import pack, pieces


class Number(IntEnum):
    SEVEN = 7


class Word(StrEnum):
    HELLO = "hello"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Temperature(float):
    __slots__ = ()

    def __repr__(self) -> str:
        return "hot"


def packed(*args: bytes) -> bytes:
    parts = (b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)
    return b"*%d\r\n" % len(args) + b"".join(parts)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("", b""),
        ("grün", "grün".encode()),
        ("a\r\n$3\r\nb", b"a\r\n$3\r\nb"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(array.array("H", [1, 2])), array.array("H", [1, 2]).tobytes()),
        (0, b"0"),
        (-7, b"-7"),
        (2**64, str(2**64).encode()),
        (10**4000, b"1" + b"0" * 4000),
        (-(10**4000), b"-1" + b"0" * 4000),
        (1.5, b"1.5"),
        (0.1, b"0.1"),
        (1e22, b"1e+22"),
        (float("inf"), b"inf"),
        (Number.SEVEN, b"7"),
        (Word.HELLO, b"hello"),
        (Text("own"), b"own"),
        (Temperature(1.5), b"1.5"),
    ],
)
def test_what_is_sent_for_a_value(value: Any, sent: bytes) -> None:
    assert pack(("SET", "k", value)) == packed(b"SET", b"k", sent)
    assert pack(["SET", value, value]) == packed(b"SET", sent, sent)


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [None, True, False, [], {}, (), set(), object(), Decimal("1.5"), 1j, Colour.RED, range(3)],
)
def test_what_redis_py_refuses_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        Encoder("utf-8", "strict", decode_responses=False).encode(value)
    with pytest.raises(DataError, match=type(value).__name__):
        pack(("SET", "k", value))


@pytest.mark.parametrize("value", ["10**5000", "-10**5000", "10**4300", "1 << 20_000"])
def test_an_int_that_python_refuses_to_print_is_refused(value: str) -> None:
    # In a process of its own: hiredis would crash it.
    program = f"""
from redis.exceptions import DataError
from sahool_cache.connection.packing import pack
value = {value}
for args in (("SET", "k", value), ("SET", True and b"k", value, "x"), (value,)):
    try:
        pack(args)
    except DataError as error:
        assert "digits" in str(error), error
    else:
        raise AssertionError("packed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_is_refused_without_telling_the_value(value: str) -> None:
    for args in (("SET", "secret", "secret" + value), ("SET", memoryview(b"k"), "secret" + value)):
        with pytest.raises(DataError) as caught:
            pack(args)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_no_refusal_tells_the_value() -> None:
    with pytest.raises(DataError) as caught:
        pack(("SET", "k", ["secret"]))
    assert "secret" not in str(caught.value)


BAD = [None, True, [], "\ud800", 10**5000]


@pytest.mark.parametrize("value", ["v", b"v", "\xe9", 1, 1.5, memoryview(b"v")])
def test_a_batch_is_packed_in_pieces(value: Any) -> None:
    commands = [("SET", f"k{number}", value) for number in range(5)]
    assert list(pieces(commands, 2)) == [
        b"".join(map(pack, commands[i : i + 2])) for i in (0, 2, 4)
    ]


@pytest.mark.parametrize("bad", BAD, ids=[type(bad).__name__ for bad in BAD])
def test_a_batch_with_one_bad_argument_is_refused(bad: Any) -> None:
    commands = [("GET", "a"), ("GET", b"b"), ("SET", "c", bad)]
    with pytest.raises(DataError):
        list(pieces(commands, 1))


def test_a_batch_of_long_texts_is_never_in_memory_a_second_time() -> None:
    commands = [("SET", f"k{number}", str(number) * (1 << 20)) for number in range(8)]
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in pieces(commands, 1)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(sizes) == 8
    assert peak < 4 << 20, "one piece at a time, and what makes it up"


def view(value: bytes) -> memoryview:
    return memoryview(value)


PLAIN = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.integers(),
    st.floats(allow_nan=False),
    st.binary().map(bytearray),
    st.binary().map(view),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PLAIN, min_size=1, max_size=6))
def test_every_plain_value_is_sent_as_redis_py_sends_it(values: list[Any]) -> None:
    encoder = Encoder("utf-8", "strict", decode_responses=False)
    assert pack(values) == packed(*(bytes(encoder.encode(value)) for value in values))
