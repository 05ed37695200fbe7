"""
Arguments to bytes: hiredis packs, and what it does not take is encoded as redis-py would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, cast

from hiredis import pack_command
from redis._parsers.encoders import Encoder
from redis.exceptions import DataError

__all__ = ["ArgumentEncoder", "pack", "pack_all", "pack_plain"]

pack_plain: Callable[[tuple[Any, ...]], bytes] = cast("Any", pack_command)  # its stub takes one
"""One command whose arguments hiredis takes as they are."""

_PLAIN = frozenset({bytes, str, float})
"""Types that hiredis packs by itself, whatever their value."""

_LONG = 1 << 2048
"""hiredis crashes on an int that Python refuses to print; 617 digits it always prints."""


def pack(args: Sequence[Any]) -> bytes:
    """
    One command in the Redis protocol.

    Raises redis-py's `DataError` for what redis-py refuses too (``None``, ``bool``,
    containers), before anything is sent.
    """
    for arg in args:
        kind = arg.__class__
        if kind not in _PLAIN and (kind is not int or not -_LONG < arg < _LONG):
            args = tuple(map(_encode, args))
            break
    try:
        packed = pack_plain(args if isinstance(args, tuple) else tuple(args))
    except UnicodeEncodeError as error:
        raise DataError(f"An argument cannot be sent as UTF-8: {error.reason}") from None
    return packed


def pack_all(commands: Sequence[tuple[Any, ...]], at_a_time: int) -> Iterable[bytes]:
    """
    The commands packed, in pieces of so many. Raises before the first if any cannot be sent.

    Where it is certain that all can be, each piece is packed when it is asked for: the first ones
    can be under way meanwhile.
    """
    pieces = (commands[i : i + at_a_time] for i in range(0, len(commands), at_a_time))
    if _surely_sent(commands):
        return (b"".join(map(pack_plain, piece)) for piece in pieces)
    return [b"".join(map(pack, piece)) for piece in pieces]


def _surely_sent(commands: Iterable[tuple[Any, ...]]) -> bool:
    """
    Whether hiredis takes every argument as it is, whatever its value.
    """
    if not _PLAIN.issuperset(map(type, chain.from_iterable(commands))):
        return False
    texts = [arg for command in commands for arg in command if arg.__class__ is str]
    return all(map(str.isascii, texts))  # then there is no lone surrogate


def _encode(value: Any) -> bytes | str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return str(int(value))
        except ValueError:
            raise DataError("An int of more than 4300 digits cannot be sent") from None
    raise DataError(
        f"Invalid input of type: {type(value).__name__!r}. "
        "Convert to a bytes, string, int or float first."
    )


class ArgumentEncoder(Encoder):
    """
    redis-py's encoder, for its own classes; what cannot be sent is a `DataError`.
    """

    def encode(self, value: Any) -> Any:
        """
        The value as bytes.
        """
        try:
            return super().encode(value)
        except ValueError as error:  # a lone surrogate, or an int that Python refuses to print
            raise DataError(f"An argument cannot be sent: {type(error).__name__}") from None
