"""
Arguments to bytes: hiredis packs, and what it does not take is encoded as redis-py would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from hiredis import pack_command
from redis._parsers.encoders import Encoder
from redis.exceptions import DataError

from sahool_cache.commands import SPECS

__all__ = ["ArgumentEncoder", "pack", "pack_plain", "pieces"]

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


def pieces(commands: Sequence[tuple[Any, ...]], at_a_time: int) -> Iterator[bytes]:
    """
    The commands packed, so many of them in a piece, each when it is asked for. Raises like `pack`.
    """
    for start in range(0, len(commands), at_a_time):
        some = commands[start : start + at_a_time]
        try:
            yield _joined(some)
        except UnicodeEncodeError:  # pack says what is wrong
            yield b"".join(map(pack, some))


def _joined(commands: Sequence[tuple[Any, ...]]) -> bytes:
    """
    What hiredis makes of them, in half the time where the commands are short and many: their
    parts are joined at once. Each command begins with the line's end of the one before.
    """
    parts: list[bytes | memoryview] = []
    extend = parts.extend
    for args in commands:
        try:
            if len(args) == 3:
                name, key, value = args
                if key.__class__ is str:
                    key = key.encode()
                if value.__class__ is str:
                    value = value.encode()
                if key.__class__ is value.__class__ is bytes:
                    extend((_THREE[name], _LENGTHS[len(key)], key, _LENGTHS[len(value)], value))
                    continue
            elif len(args) == 2:
                name, key = args
                if key.__class__ is str:
                    key = key.encode()
                if key.__class__ is bytes:
                    extend((_TWO[name], _LENGTHS[len(key)], key))
                    continue
        except LookupError:  # a rare command, or a long argument
            key = value = None
        extend((b"\r\n", memoryview(pack(args))[:-2]))
    parts.append(b"\r\n")
    parts[0] = parts[0][2:]
    return b"".join(parts)


def _heads(count: int) -> dict[str | bytes, bytes]:
    """
    How each command of so many words begins.
    """
    heads: dict[str | bytes, bytes] = {}
    for spec in SPECS.values():
        word = spec.words[0]
        heads[word] = heads[word.decode()] = b"\r\n*%d\r\n$%d\r\n%b" % (count, len(word), word)
    return heads


_TWO, _THREE = _heads(2), _heads(3)
_LENGTHS = tuple(b"\r\n$%d\r\n" % length for length in range(1024))


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
