"""
The bytes of a replication stream, in whatever pieces they come.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sahool_cache.cli.backup.crc64 import crc64
from sahool_cache.cli.backup.stream import RdbStream, SyncRefused, introduction

MARK = b"0123456789abcdef0123456789abcdef01234567"
GREETING = b"+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n"
RESYNC = b"\n+FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 2443808505\r\n\n\n"


def read(pieces: list[bytes]) -> tuple[RdbStream, bytes]:
    got = bytearray()
    stream = RdbStream(got.extend)
    for piece in pieces:
        stream.feed(piece)
    return stream, bytes(got)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(
    rdb=st.binary(min_size=1, max_size=200),
    places=st.lists(st.integers(0, 1000), max_size=20),
    marked=st.booleans(),
)
def test_both_forms_are_read_in_any_pieces(rdb: bytes, places: list[int], marked: bool) -> None:
    form = b"$EOF:%b\r\n%b%b" % (MARK, rdb, MARK) if marked else b"$%d\r\n%b" % (len(rdb), rdb)
    stream, got = read(cut(GREETING + RESYNC + form, places))
    assert got == rdb
    assert (stream.complete, stream.total, stream.received) == (True, len(rdb), len(rdb))
    assert (stream.replid[:4], stream.offset) == ("8de1", 2443808505)


@pytest.mark.parametrize("form", [b"$20\r\n", b"$EOF:" + MARK + b"\r\n"])
def test_a_stream_that_is_cut_is_not_complete(form: bytes) -> None:
    stream, _ = read([GREETING, RESYNC, form, b"x" * 19])
    assert not stream.complete


def test_what_follows_the_announced_length_is_not_part_of_it() -> None:
    stream, got = read([GREETING + RESYNC + b"$3\r\nabc*1\r\n$4\r\nPING\r\n", b"more"])
    assert (got, stream.complete) == (b"abc", True)


def test_the_replies_to_the_introduction_are_counted_and_keepalives_are_not() -> None:
    stream, _ = read([b"\n\n", GREETING])
    assert stream.replies == len(introduction("7.0.15")), "the error is a reply, too"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"-NOPERM this user has no permissions\r\n", "NOPERM this user has no permissions"),
        (b"+OK\r\n-NOMASTERLINK Can't SYNC\r\n", "NOMASTERLINK Can't SYNC"),
        (b"+FULLRESYNC abc\r\n", "FULLRESYNC abc"),
        (b"+FULLRESYNC abc many\r\n", "many"),
        (b"$3\r\nabc", "before it says of when"),
        (RESYNC + b"$EOF:short\r\n", "EOF:short"),
        (RESYNC + b"$many\r\n", "many"),
        (b"HTTP/1.1 400 Bad Request" * 100, "does not speak"),
    ],
)
def test_what_is_no_backup_is_refused_with_the_servers_words(said: bytes, told: str) -> None:
    with pytest.raises(SyncRefused, match=told):
        read([said])


def test_the_checksum_is_that_of_redis() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA  # the check value of Redis' own source
    assert crc64(b"") == 0
