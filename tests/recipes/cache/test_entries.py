"""
What is stored, and what is made of whatever else is found there.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from math import inf, nan
from typing import Any, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import BaseModel

from sahool_cache.recipes.caching.codec import Codec, Later
from sahool_cache.recipes.caching.entry import Entry, pack, unpack
from sahool_cache.recipes.caching.lease import beginning

ENTRY = Entry(
    v=1, at=1.5, ttl=60.0, took=0.25, data=msgspec.Raw(b'{"a":"\xc3\xa9"}'), tags={"t": "1"}
)


def test_an_entry_is_json_for_every_language() -> None:
    assert json.loads(pack(ENTRY, compress_from=None)) == {
        "v": 1, "at": 1.5, "ttl": 60.0, "took": 0.25, "data": {"a": "é"}, "tags": {"t": "1"},
    }  # fmt: skip


@pytest.mark.parametrize("compress_from", [None, 1, 10**6])
def test_an_entry_is_read_as_bytes_and_as_text(compress_from: int | None) -> None:
    stored = pack(ENTRY, compress_from=compress_from)
    assert unpack(stored) == unpack(stored.decode()) == ENTRY
    assert stored.startswith(b"z1:") is (compress_from == 1)


def test_compression_is_what_its_format_says() -> None:
    big = replace(ENTRY, data=msgspec.Raw(b'"' + b"a" * 10_000 + b'"'))
    stored = pack(big, compress_from=1000)
    assert len(stored) < 300
    assert zlib.decompress(b64decode(stored[3:])) == pack(big, compress_from=None)


def test_compressed_entries_are_told_apart_by_how_they_begin() -> None:
    """
    A process that waited would take the new one for that it has seen, and load again.
    """
    rows = msgspec.Raw(msgspec.json.encode([{"id": n, "name": f"n{n}"} for n in range(400)]))
    begin = {
        beginning(pack(replace(ENTRY, at=1764109337.1 + n, data=rows), compress_from=1))
        for n in range(200)
    }
    assert len(begin) == 200


WHOLE = pack(ENTRY, compress_from=None)
PACKED = pack(ENTRY, compress_from=1)


@pytest.mark.parametrize(
    "stored",
    [
        *(
            b"",
            b"{",
            b"null",
            b"[]",
            b"1",
            b"Ahmed",
            b"\xff\xfe",
            b"z1:",
            b"z1:!",
            b"z1:AAAA",
            "z1:é",
        ),
        *(WHOLE.replace(b'"v":1', b'"v":2'), WHOLE.replace(b'"at":1.5,', b""), WHOLE + b"x"),
        *(WHOLE.replace(b"1.5", b'"x"'), WHOLE[:-1], PACKED[:-4], PACKED + b"AAAA", b"[" * 100_000),
        b"z1:" + b64encode(zlib.compress(b"{}")),
        b'{"v":1,"at":1,"ttl":1,"took":0}',
    ],
)
def test_what_is_no_entry_is_none(stored: bytes | str) -> None:
    assert unpack(stored) is None


@given(st.one_of(st.binary(), st.text(), st.binary().map(lambda rest: b"z1:" + b64encode(rest))))
def test_nothing_that_can_be_stored_raises(stored: bytes | str) -> None:
    entry = unpack(stored)
    assert entry is None or entry.v == 1


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_byte_does_not_raise(place: int, byte: int) -> None:
    for whole in (WHOLE, PACKED):
        unpack(whole[:place] + bytes([byte]) + whole[place + 1 :])


class Model(BaseModel):
    id: int
    at: datetime | None = None
    x: float = 0.0


@dataclass
class Point:
    x: float


@dataclass
class Record:
    id: int
    model: Model
    rest: list[Record]


class Dict(TypedDict):
    id: UUID


class Even(msgspec.Struct):
    id: int

    def __post_init__(self) -> None:
        if self.id % 2:
            raise LookupError(self.id)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Any, {"a": [1, 2.5, "x", None, True]}),
        (dict[int, str], {1: "a"}),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (bytes, b"\xff\x00"),
        (datetime, datetime(2026, 1, 1)),  # noqa: DTZ001
        (Model, Model(id=1, at=datetime(2026, 1, 1))),  # noqa: DTZ001
        (list[Model], [Model(id=1)]),
        (Model | dict[str, Any], Model(id=1)),
        (Record, Record(1, Model(id=2), [Record(3, Model(id=4), [])])),
        (Dict, {"id": UUID(int=7)}),
        (Later(lambda: Model), Model(id=1)),
        (Model, None),
        (int, None),
    ],
)
def test_a_result_comes_back_as_what_it_was(kind: Any, value: Any) -> None:
    codec = Codec(kind)
    again = codec.decode(msgspec.Raw(codec.encode(value)))
    assert again == value
    assert type(again) is type(value)


def test_without_a_type_a_model_is_what_json_has() -> None:
    codec = Codec(Any)
    assert codec.decode(codec.encode([Model(id=1)])) == [{"id": 1, "at": None, "x": 0.0}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Any, object()), (int, "x"), (Model, {"id": "x"})),
        *((float, nan), (float | None, inf), (Any, {"a": [1.0, -inf]}), (Point, Point(nan))),
        *((Any, Model(id=1, at=None, x=nan)), (Model, Model(id=1, x=inf))),
        (Model | Point, Point(nan)),
    ],
)
def test_what_does_not_fit_raises(kind: Any, value: Any) -> None:
    codec = Codec(kind)
    with pytest.raises((TypeError, ValueError)):
        codec.decode(codec.encode(value))


def test_what_a_type_refuses_in_its_own_way_is_not_of_this_type() -> None:
    assert Codec(Even).decode(b'{"id":2}') == Even(2)
    with pytest.raises(ValueError, match="LookupError"):
        Codec(Even).decode(b'{"id":3}')
