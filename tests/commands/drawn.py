"""
Calls of the commonest methods as hypothesis draws them: most of them fine, many of them not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "OTHER_CALLS",
    "SET_AND_GET",
    "SET_OPTIONS",
    "Call",
    "every_argument",
    "every_two",
    "set_calls",
]


class Word(StrEnum):
    KEY = "k"


class Text(str):
    """
    A `str` that shows itself otherwise.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class Whole(int):
    """
    An `int` of another class.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call of a method.
    """

    method: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, client: Any) -> Any:
        return getattr(client, self.method)(*self.args, **self.options)


# Not here, because ours differs on purpose (test_arguments.py): what redis-py sends by its repr,
# such as an IntEnum, a memoryview with gaps, lone surrogates, ints of more than 4300 digits.
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63,
    -(2**200),
    10**4000,
    1.5,
    0.1,
    1e300,
    -0.0,
    math.inf,
    math.nan,
    b"\xff\x00\r\n",
    bytearray(b"k"),
    memoryview(b"k"),
    Word.KEY,
    Text("k"),
    Whole(5),
    "",
    "ü€😀",
    Decimal("1.5"),
    1j,
    (),
    ["k"],
    {"k": 1},
    {"k"},
    object,
]
odd = st.sampled_from(ODD)
key = st.one_of(st.sampled_from(["k", b"k", "k", "list", "missing"]), odd)
value = st.one_of(st.text(max_size=9), st.binary(max_size=9), st.integers(), st.floats(), odd)

# None that is relative runs out while a test looks: far ahead, or over at once.
LONG_TIMES: list[Any] = [
    1000,
    "1000",
    Whole(5000),
    10**18,
    timedelta(seconds=1000.75),
    timedelta(days=3, microseconds=1_500),
]
BAD_TIMES: list[Any] = [
    *(0, -1, True, False, 2**63, 10**400, "-5", "ten", "", "1000 ", "²", "٣٠٠٠"),
    *(1.5, 1000.0, math.nan, b"1000", bytearray(b"1000"), Decimal(1000), [1000], {}),
    *(timedelta(0), timedelta(seconds=-1.5), timedelta(microseconds=400), Text("1000")),
    datetime(2096, 1, 1, tzinfo=UTC),
]
MOMENTS: list[Any] = [
    *(4_000_000_000, 4_000_000_000_000, 1, Whole(4_000_000_000), "4000000000", b"4000000000"),
    datetime(2096, 1, 1, tzinfo=UTC),
    datetime(2096, 1, 1, 12, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2096, 6, 1, 0, 0, 0, 1),  # noqa: DTZ001  # redis-py takes local time
    datetime(1999, 1, 1, tzinfo=UTC),
]
FLAGS: list[Any] = [True, 1, "yes", b"no", object, [0], False, 0, None, "", b"", [], {}]
WORTHS: list[Any] = ["old", b"old", "other", "0" * 16]

SET_OPTIONS: dict[str, list[Any]] = {
    "ex": [*LONG_TIMES, *BAD_TIMES],
    "px": [*LONG_TIMES, *BAD_TIMES],
    "nx": FLAGS,
    "xx": FLAGS,
    "keepttl": FLAGS,
    "get": FLAGS,
    "exat": [*MOMENTS, *BAD_TIMES],
    "pxat": [*MOMENTS, *BAD_TIMES],
    "ifeq": [*WORTHS, *ODD],
    "ifne": [*WORTHS, *ODD],
    "ifdeq": [*WORTHS, *ODD],
    "ifdne": [*WORTHS, *ODD],
}
"""In redis-py's order: what each may be, beginning with what is fine."""

DEFAULTS = [None, None, False, False, False, False, *[None] * 6]
flag = st.one_of(st.just(True), st.sampled_from(FLAGS))  # noqa: FBT003
relative = st.one_of(st.sampled_from(LONG_TIMES), st.sampled_from(BAD_TIMES))


def _worth(draw: st.DrawFn, name: str) -> Any:
    values = SET_OPTIONS[name]
    return draw(st.one_of(st.sampled_from(values[:4]), st.sampled_from(values)))


def by_place(options: dict[str, Any], count: int) -> list[Any]:
    """
    Takes the first `count` options of `set` out of those, for the place that each has.
    """
    named = zip(list(SET_OPTIONS)[:count], DEFAULTS, strict=False)
    return [options.pop(name, default) for name, default in named]


@st.composite
def _set(draw: st.DrawFn) -> Call:
    names = draw(st.lists(st.sampled_from(list(SET_OPTIONS)), unique=True, max_size=3))
    given = {name: _worth(draw, name) for name in names}
    by_position = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 6, 12]))
    args = by_place(given, by_position)
    args = [draw(key), draw(value), *args]
    return _spoiled(draw, Call(method="set", args=tuple(args), options=given), ("name", "value"))


def _spoiled(draw: st.DrawFn, call: Call, names: tuple[str, ...]) -> Call:
    """
    The call as it is, or with the first arguments by name, with one too many or too few.
    """
    how = draw(st.sampled_from(["as it is"] * 12 + ["named", "less", "more", "unknown", "twice"]))
    args, options = call.args, call.options
    match how:
        case "named" if len(args) == len(names):
            args, options = (), dict(zip(names, args, strict=True)) | options
        case "less":
            args, options = args[:-1], _without_experiments(options)
        case "more":
            args = (*args, *[None] * (13 if call.method == "set" else 2))
        case "unknown":
            options = options | {"nxx": True}
        case "twice" if len(args) <= 10:
            options = _without_experiments(options) | {names[0]: "k"}
        case _:
            pass
    return Call(method=call.method, args=args, options=options)


def _without_experiments(options: dict[str, Any]) -> dict[str, Any]:
    # redis-py's wrapper warns of these before Python refuses the call; ours is refused first.
    return {name: worth for name, worth in options.items() if not name.startswith("if")}


@st.composite
def _get(draw: st.DrawFn) -> Call:
    return _spoiled(draw, Call(method="get", args=(draw(key),)), ("name",))


def _of(method: str, *args: st.SearchStrategy[Any], **options: st.SearchStrategy[Any]) -> Any:
    chosen = st.fixed_dictionaries({}, optional=options) if options else st.just({})
    make: Callable[..., Call] = lambda a, o: Call(method=method, args=a, options=o)  # noqa: E731
    return st.builds(make, st.tuples(*args), chosen)


def _of_many(method: str) -> Any:
    return st.lists(key, max_size=3).map(lambda keys: Call(method=method, args=tuple(keys)))


keys = st.one_of(st.lists(key, max_size=3), st.tuples(key, key), st.just({"k"}), key)
hash_ = st.one_of(st.sampled_from(["hash", "hash", "new", "k"]), odd)
name_of_field = st.one_of(st.sampled_from(["a", b"a", "b"]), odd)
mapping = st.sampled_from([{}, {"a": 1}, {"b": b"2", b"c": 2.5}, {"a": None}, None, [("a", 1)]])
items = st.sampled_from([[], ["a", 1], ("b", 2, "c", 3), ["a"], ["a", None], None, "ab"])
count = st.one_of(st.sampled_from([1, 5, -3, "7", b"2"]), odd)

SET_AND_GET = st.one_of(_set(), _set(), _set(), _get())


def set_calls(name: str) -> list[Call]:
    """
    `set` with every value of that option: alone, reading as well, and by its place.
    """
    calls = []
    place = list(SET_OPTIONS).index(name) + 1
    for worth in SET_OPTIONS[name]:
        calls.append(Call(method="set", args=("k", "v"), options={name: worth}))
        calls.append(Call(method="set", args=("k", "v", *by_place({name: worth}, place))))
        if name != "get":
            calls.append(Call(method="set", args=("k", "v"), options={"get": True, name: worth}))
    return calls


def every_two() -> list[Call]:
    """
    `set` with every two of its options, each of them fine by itself.
    """
    fine = {name: values[0] for name, values in SET_OPTIONS.items()}
    return [
        Call(method="set", args=("k", "v"), options={one: fine[one], other: fine[other]})
        for one, other in combinations(fine, 2)
    ]


def every_argument() -> list[Call]:
    """
    What is no option, with every odd value.
    """
    one = [Call(method=method, args=(odd,)) for odd in ODD for method in ("get", "mget", "incr")]
    sets = [Call(method="set", args=args) for odd in ODD for args in ((odd, "v"), ("k", odd))]
    return [*one, *sets, *(Call(method="hset", args=("hash", "a", odd)) for odd in ODD)]


OTHER_CALLS = st.one_of(
    *(_of("mget", keys), _of("mget", keys, key), _of_many("exists"), _of_many("delete")),
    *(_of("hget", hash_, name_of_field), _of("hset", hash_, name_of_field, value)),
    _of("hset", hash_, key=name_of_field, value=value, mapping=mapping, items=items),
    *(_of("incr", key), _of("incr", key, count), _of("incr", key, amount=count)),
    _of("expire", key, relative, nx=flag, xx=flag, gt=flag, lt=flag),
    *(_of("expire", key, relative), _of("incrby", key, count)),
)
