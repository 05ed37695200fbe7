"""
What a broken or malicious server may send: bytes without sense, and replies with the wrong one.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from redis.exceptions import ResponseError

__all__ = ["BROKEN", "BYTES", "HOSTS", "PORTS", "TEXTS", "VALUES", "mutated"]

HOSTS = ("127.0.0.1", "", "localhost", "a" * 70, "é" * 40, "no such\nhost", "\0", "[::1", ".", "%s")
PORTS = ("1", "0", "-1", "65536", "9" * 30, "9" * 5000, "x", "", "²", "٣", "1.5", "None")
WORDS = (*HOSTS, *PORTS, "master", "replica", "slave", "s_down,master", "role", "config-epoch")

TEXTS = st.sampled_from(WORDS) | st.text(max_size=12)
LEAVES = st.one_of(
    TEXTS,
    TEXTS.map(str.encode),
    st.binary(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    TEXTS.map(ResponseError),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
"""What a reply may become when it is read."""

BROKEN = st.sampled_from(
    (
        *(
            b"\0",
            b"hello\r\n",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x01\x00\x02\x02\x16",
        ),
        *(b"$-5\r\n", b"$abc\r\n", b"$12", b"*-9\r\n", b"*x\r\n", b":x\r\n", b"%-3\r\n", b"\r\n"),
        *(b"$99999999999999999999\r\n", b"#x\r\n", b",1.x\r\n", b"(12x\r\n", b"=3\r\nabc\r\n"),
        *(b"*1\r\n" * 40 + b"x",),
    )
)
"""Bytes that begin no reply at all, or one that never ends well."""

BYTES = st.one_of(
    BROKEN,
    # hiredis does not look at what ends a text, and takes an attribute for a reply.
    st.sampled_from((b"$3\r\nabcdef", b"|1\r\n+a\r\n+b\r\n")),
    st.binary(min_size=1, max_size=40),
    st.sampled_from(
        (
            b"+OK\r\n",
            b"_\r\n",
            b":1\r\n",
            b"*0\r\n",
            b"%0\r\n",
            b">0\r\n",
            b">1\r\n:1\r\n",
            b"-\r\n",
        )
    ),
    st.sampled_from((b"-MOVED x\r\n", b"-ASK\r\n", b"-LOADING\r\n", b"-NOAUTH x\r\n", b"*-1\r\n")),
    st.lists(st.sampled_from((b"*2\r\n", b"%1\r\n", b"~1\r\n", b">1\r\n", b"+a\r\n", b":1\r\n")))
    .map(b"".join)
    .filter(bool),
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """
    Those bytes with some of them left out, put in, or changed.
    """
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(("cut", "insert", "change")))
        if kind == "cut":
            data = data[:place] + data[place + draw(st.integers(1, 8)) :]
        elif kind == "insert":
            data = data[:place] + draw(BYTES) + data[place:]
        else:
            data = data[:place] + draw(st.binary(min_size=1, max_size=2)) + data[place + 1 :]
    return data
