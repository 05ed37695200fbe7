"""
The Redis protocol, version 3, as the simulated servers speak it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis

__all__ = ["Failure", "Simple", "encode", "push", "read_commands"]


class Simple(str):
    """
    A status reply.
    """

    __slots__ = ()


class Failure(str):
    """
    An error reply.
    """

    __slots__ = ()


def encode(value: Any) -> bytes:
    """
    One reply.
    """
    match value:
        case None:
            return b"_\r\n"
        case Simple():
            return b"+%b\r\n" % value.encode()
        case Failure():
            return b"-%b\r\n" % value.encode()
        case int():
            return b":%d\r\n" % value
        case str():
            return encode(value.encode())
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case dict():
            pairs = (encode(each) for pair in value.items() for each in pair)
            return b"%%%d\r\n%b" % (len(value), b"".join(pairs))
        case list() | tuple():
            return b"*%d\r\n%b" % (len(value), b"".join(map(encode, value)))
    raise TypeError(f"no reply is a {type(value).__name__}")


def push(values: Sequence[Any]) -> bytes:
    """
    A message that nobody asked for.
    """
    return b">%d\r\n%b" % (len(values), b"".join(map(encode, values)))


def read_commands(reader: hiredis.Reader, data: bytes) -> list[list[bytes]]:
    """
    The commands that are complete with these bytes.
    """
    reader.feed(data)
    commands = []
    while (command := reader.gets()) is not False:
        commands.append(command)
    return commands
