"""
Which reads may be kept, and the keys that they depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["CACHED", "LONGEST_NAME", "keys_of", "name_of", "probe_of"]

LONGEST_NAME = 512
"""Characters; longer names are not kept: every argument of a write is looked up, and values are
long."""

# Left out: what changes by itself (TTL, OBJECT IDLETIME), by chance (RANDOMKEY, SRANDMEMBER), or
# without its keys being named (SORT with BY, KEYS, SCAN).
_OF_ONE_KEY = """
    GET GETRANGE SUBSTR STRLEN GETBIT BITCOUNT BITPOS TYPE
    HGET HMGET HGETALL HEXISTS HKEYS HVALS HLEN HSTRLEN LINDEX LLEN LPOS LRANGE
    SCARD SISMEMBER SMISMEMBER SMEMBERS ZCARD ZCOUNT ZLEXCOUNT ZSCORE ZMSCORE ZRANK ZREVRANK
    ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE
    GEODIST GEOHASH GEOPOS GEOSEARCH XLEN XRANGE XREVRANGE
"""
_OF_KEYS = "MGET EXISTS SDIFF SINTER SUNION"
MOST_KEYS = 128
"""More keys in one call than this, and it is not kept: each is asked for its time to live."""

CACHED: dict[str, slice] = {
    **dict.fromkeys(_OF_ONE_KEY.split(), slice(1, 2)),
    **dict.fromkeys(_OF_KEYS.split(), slice(1, None)),
}
"""Where the keys stand among the arguments."""


def keys_of(args: Sequence[Any]) -> list[str] | None:
    """
    The names of the keys that the call reads, each once; None where its reply is not to be kept.

    The arguments are such as can be sent.
    """
    place = CACHED.get(args[0])
    if place is None:
        return None
    names = list(dict.fromkeys(map(name_of, args[place])))
    return names if 0 < len(names) <= MOST_KEYS else None


def probe_of(args: Sequence[Any], name: str, packed: bytes) -> str | bytes:
    """
    What the call's reply is found by: the key's name for GET, else the packed command.

    A name that is no text has no place among the former: the `str` that stands for it cannot be
    sent, so who asks for that must not find it.
    """
    if args[0] != "GET" or len(args) != 2:
        return packed
    try:
        if not name.isascii():
            name.encode()
    except UnicodeEncodeError:
        return packed
    return name


def name_of(key: Any) -> str:
    """
    One text for each key, however it is written: ``b"k"`` and ``"k"`` are the same key.

    It is what is sent: a class of one's own may print its values in another way.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key).decode("utf-8", "surrogateescape")
    return repr(float(key)) if isinstance(key, float) else str(int(key))
