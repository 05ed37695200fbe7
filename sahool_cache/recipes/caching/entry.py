"""
What is stored: JSON with the result in it, and all that is to be known about it.

The format is documented for other languages in docs/stored-formats.md; `VERSION` is part of it.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from math import log
from random import Random
from typing import Literal

import msgspec

__all__ = ["Entry", "pack", "unpack"]

VERSION: Literal[1] = 1

EARLIEST = 0.75
"""The share of its ttl in which an entry is never refreshed early."""

COMPRESSED = "z1:"
"""What a compressed entry begins with; the rest is the base64 of zlib's. Every entry is text, so
that clients which decode replies can read it."""

BEGINNING = 64
"""Bytes by which one entry is told from the next: they hold the time to the microsecond."""

LARGEST = 512 << 20
"""Bytes that an entry may have when it is unpacked: the server's own limit of a value."""


class Entry(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """
    One stored result. `at` is when it was stored, in seconds since 1970, `ttl` the seconds for
    which it is fresh, `took` those that loading it took, `tags` the versions of its tags.
    """

    v: Literal[1]
    at: float
    ttl: float
    took: float
    data: msgspec.Raw
    tags: dict[str, str] = {}  # msgspec copies it

    def is_early(self, age: float, factor: float, random: Random) -> bool:
        """
        Whether it is to be loaded anew before it ends: XFetch.
        """
        luck = 1.0 - random.random()  # from above 0 to 1
        return age + self.took * factor * -log(luck) >= self.ttl


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def pack(entry: Entry, *, compress_from: int | None) -> bytes:
    """
    The text to store; compressed if it has at least that many bytes.
    """
    text = _encode(entry)
    if compress_from is not None and len(text) >= compress_from:
        return COMPRESSED.encode() + b64encode(_deflated(text))
    return text


def unpack(stored: bytes | str) -> Entry | None:
    """
    The entry, or None for whatever else it may be: another version, damaged, somebody else's.
    """
    try:
        start = stored[:3]
        if start in (COMPRESSED, COMPRESSED.encode()):
            stored = _inflated(b64decode(stored[3:], validate=True))
        return _decode(stored)
    except (ValueError, zlib.error, RecursionError):
        return None


def _deflated(text: bytes) -> bytes:
    """
    Its beginning is a block of its own: else the first bytes are codes, the same for most entries.
    """
    deflate = zlib.compressobj()
    start = deflate.compress(text[:BEGINNING]) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return start + deflate.compress(text[BEGINNING:]) + deflate.flush()


def _inflated(packed: bytes) -> bytes:
    inflate = zlib.decompressobj()
    text = inflate.decompress(packed, LARGEST)
    if not inflate.eof or inflate.unused_data:  # cut off, a bomb, or followed by something else
        raise zlib.error("not what was stored")
    return text
