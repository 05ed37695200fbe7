"""
One call of a command method, and how its results are compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["SEED", "Compare", "Row", "described", "loose", "row", "shape"]

Compare = Literal["exact", "shape", "loose"]
Words = tuple[Any, ...]

SEED: tuple[Words, ...] = (
    ("SET", "text", "hello"),
    ("SET", "other", "hallo"),
    ("SET", "number", "10"),
    ("SET", "float", "10.5"),
    ("SET", "empty", ""),
    ("SET", "binary", b"\xff\x00\xfe"),
    ("SET", "short", "lived", "PXAT", 4_000_000_000_000),
    ("SET", "bits", b"\x0f\xf0"),
    ("SET", "bits2", b"\x01\xff\x80"),
    ("HSET", "hash", "a", "1", "b", "2", "c", "3.5", "d", "text"),
    ("HSET", "one", "a", "1"),
    ("HSET", "rawhash", b"\xff", b"\xfe"),
    ("RPUSH", "list", "a", "b", "c", "d", "b", "e"),
    ("RPUSH", "list2", "x", "y", "z"),
    ("RPUSH", "numbers", "3", "1", "10", "2"),
    ("RPUSH", "rawlist", "fine", b"\xff"),
    ("SADD", "set", "a", "b", "c"),
    ("SADD", "set2", "b", "c", "d"),
    ("SADD", "single", "only"),
    ("ZADD", "zset", 1, "a", 2, "b", 3.5, "c"),
    ("ZADD", "zset2", 10, "b", 20, "c", "inf", "d"),
    ("ZADD", "lex", 0, "a", 0, "b", 0, "c", 0, "d"),
    ("ZADD", "zsingle", 1.25, "only"),
    ("GEOADD", "geo", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"),
    ("PFADD", "hll", "a", "b", "c"),
    ("PFADD", "hll2", "c", "d"),
    ("XADD", "stream", "1-1", "f", "v1", "g", "w1"),
    ("XADD", "stream", "2-1", "f", "v2"),
    ("XADD", "stream", "3-1", "f", "v3"),
    ("XGROUP", "CREATE", "stream", "group", "0"),
    ("XREADGROUP", "GROUP", "group", "anna", "COUNT", "2", "STREAMS", "stream", ">"),
    ("MSET", "weight_1", "9", "weight_2", "5", "weight_3", "1", "weight_10", "7"),
)
"""What every row finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One call, after these commands on top of the seed.
    """

    method: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    given: tuple[Words, ...] = ()
    compare: Compare = "exact"

    @property
    def id(self) -> str:
        options = [f"{name}={value!r}" for name, value in self.options.items()]
        told = f"{self.method}({', '.join([*map(repr, self.args), *options])})"[:90]
        return re.sub(" at 0x[0-9a-f]+", "", told)  # the same in every process


def row(
    method: str,
    *args: Any,
    given: tuple[Words, ...] = (),
    compare: Compare = "exact",
    **options: Any,
) -> Row:
    return Row(method=method, args=args, options=options, given=given, compare=compare)


def described(value: Any) -> Any:
    """
    The value with every type in it, such that equal means equal: also for NaN and objects.
    """
    kind = type(value).__name__
    if isinstance(value, BaseException):
        return kind, str(value)
    if isinstance(value, dict):
        return kind, [(described(key), described(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return kind, [described(item) for item in value]
    if isinstance(value, set | frozenset):
        return kind, sorted((described(item) for item in value), key=repr)
    return kind, repr(value)


def shape(value: Any) -> Any:
    """
    The types in the value, and the keys of its dicts.
    """
    kind = type(value).__name__
    if isinstance(value, BaseException):
        return kind, str(value)
    if isinstance(value, dict):
        return kind, sorted(((repr(key), shape(item)) for key, item in value.items()), key=repr)
    if isinstance(value, list | tuple | set | frozenset):
        return kind, sorted({repr(shape(item)) for item in value})
    return kind


def loose(value: Any) -> Any:
    """
    The outermost type, and the types directly within: for what is about the asking connection.
    """
    kind = type(value).__name__
    if isinstance(value, BaseException):
        return kind, str(value)
    if isinstance(value, dict):
        return kind, sorted({type(key).__name__ for key in value})
    if isinstance(value, list | tuple | set | frozenset):
        return kind, sorted({type(item).__name__ for item in value})
    return kind
