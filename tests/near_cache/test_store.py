"""
What is kept stays within its bytes, and no index keeps what is gone.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sahool_cache.connection.packing import pack
from sahool_cache.near_cache.store import Shelf, Store, fresh, size_of

NAMES = [f"key:{number}" for number in range(12)]

names = st.sampled_from(NAMES)
commands = st.one_of(
    names.map(lambda name: ("GET", name)),
    names.map(lambda name: ("HGETALL", name)),
    st.lists(names, min_size=1, max_size=5).map(lambda several: ("MGET", *several)),
)
replies = st.one_of(
    st.none(),
    st.integers(),
    st.integers(0, 3000).map(lambda size: b"x" * size),
    st.integers(0, 30).map(lambda size: [b"x" * size] * size),
    st.integers(0, 9).map(lambda size: {b"f%d" % each: b"v" for each in range(size)}),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 1), commands, replies),
        st.tuples(st.just("use"), st.integers(0, 1), commands),
        st.tuples(st.just("drop"), st.integers(0, 1), names),
        st.tuples(st.just("clear"), st.integers(0, 1)),
    ),
    max_size=80,
)


def probe_of(command: tuple[str, ...]) -> str | bytes:
    return command[1] if command[0] == "GET" else pack(command)


def check(store: Store, shelves: list[Shelf]) -> None:
    kept = [entry for shelf in shelves for entry in shelf.entries.values()]
    assert len(kept) == len(store)
    assert store.bytes == sum(entry.size for entry in kept) <= store.max_bytes
    for shelf in shelves:
        for probe, entry in shelf.entries.items():
            assert entry.probe == probe
            assert entry.shelf is shelf
        listed = {
            name: {entry.probe for entry in shelf.entries.values() if name in entry.names}
            for name in NAMES
        }
        listed = {
            name: {p for p in found if isinstance(p, bytes)} for name, found in listed.items()
        }
        assert shelf._probes == {name: found for name, found in listed.items() if found}


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_bound_holds_and_nothing_leaks_whatever_is_kept_and_dropped(
    steps: list[tuple[Any, ...]],
) -> None:
    store = Store(12_000)
    shelves = [Shelf(store), Shelf(store)]
    for kind, which, *rest in steps:
        shelf = shelves[which]
        if kind == "keep":
            command, reply = rest
            asked = list(dict.fromkeys(command[1:]))
            shelf.keep(probe_of(command), asked, reply, 1.0)
            entry = shelf.entries.get(probe_of(command))
            assert entry is None or entry.reply == reply
        elif kind == "use":
            entry = shelf.entries.get(probe_of(rest[0]))
            if entry is not None:
                entry.used = True
        elif kind == "drop":
            held = any(rest[0] in entry.names for entry in shelf.entries.values())
            assert shelf.drop(rest[0]) is held
            assert not any(rest[0] in entry.names for entry in shelf.entries.values())
        else:
            held = len(shelf.entries)
            assert shelf.clear() == held
        check(store, shelves)
    for shelf in shelves:
        shelf.clear()
    assert (len(store), store.bytes) == (0, 0)


def test_what_was_used_outlives_what_was_not() -> None:
    store = Store(1 << 16)
    shelf = Shelf(store)
    for number in range(50):
        shelf.keep(f"used:{number}", [f"used:{number}"], b"x" * 100, 1.0)
    for number in range(1000):
        for used in range(50):
            if (entry := shelf.entries.get(f"used:{used}")) is not None:
                entry.used = True
        shelf.keep(f"once:{number}", [f"once:{number}"], b"x" * 100, 1.0)
    assert [f"used:{number}" in shelf.entries for number in range(50)] == [True] * 50
    assert store.evictions > 800


def test_what_comes_is_kept_also_where_everything_was_used() -> None:
    store = Store(1 << 16)
    shelf = Shelf(store)
    number = 0
    while not store.evictions:
        shelf.keep(str(number), [str(number)], b"x" * 100, 1.0)
        number += 1
    for entry in shelf.entries.values():
        entry.used = True
    shelf.keep("new", ["new"], b"x" * 100, 1.0)
    assert "new" in shelf.entries


def test_giving_up_one_entry_does_not_look_at_all_of_them() -> None:
    store = Store(64 << 20)
    shelf = Shelf(store)
    for number in range(100_000):
        shelf.keep(str(number), [str(number)], b"x" * 100, 1.0)
    store.max_bytes = store.bytes
    for entry in shelf.entries.values():
        entry.used = True
    began = time.perf_counter()
    shelf.keep("new", ["new"], b"", 1.0)
    assert time.perf_counter() - began < 0.01
    assert "new" in shelf.entries


def test_a_reply_that_would_take_more_than_its_share_is_not_kept() -> None:
    store = Store(1 << 16)
    shelf = Shelf(store)
    shelf.keep("small", ["small"], b"", 1.0)
    shelf.keep("large", ["large"], b"x" * (1 << 14), 1.0)
    shelf.keep(b"large", ["large", "large"], b"x" * (1 << 14), 1.0)
    assert list(shelf.entries) == ["small"]
    assert shelf._probes == {}
    shelf.keep("small", ["small"], b"x" * (1 << 14), 1.0)
    assert (len(store), store.bytes) == (0, 0), "nor what was there before"


def _get(size: int) -> Callable[[int], tuple[str | bytes, list[str], Any]]:
    def make(number: int) -> tuple[str, list[str], bytes]:
        name = f"key:{number:06d}"
        return name, [name], b"%06d" % number + b"x" * size

    return make


def _hash(number: int) -> tuple[bytes, list[str], Any]:
    name = f"key:{number:06d}"
    fields = {f"field:{number}:{each}".encode(): b"value:%d" % number for each in range(10)}
    return pack(("HGETALL", name)), [name], fields


def _exists(number: int) -> tuple[bytes, list[str], Any]:
    name = f"key:{number:06d}"
    return pack(("EXISTS", name)), [name], number % 2


def _mget(number: int) -> tuple[bytes, list[str], Any]:
    several = [f"key:{number:06d}:{each}" for each in range(20)]
    return pack(("MGET", *several)), several, [f"{number}:{n}".encode() for n in range(20)]


@pytest.mark.parametrize(
    ("make", "count"),
    [
        *((_get(size), 3000) for size in (0, 10, 100, 1000)),
        *((_get(10_000), 300), (_hash, 2000), (_exists, 3000), (_mget, 500)),
    ],
    ids=["0", "10", "100", "1000", "10000", "hash", "exists", "mget"],
)
def test_the_bytes_that_are_counted_are_those_that_are_taken(
    make: Callable[[int], tuple[str | bytes, list[str], Any]], count: int
) -> None:
    store = Store(1 << 30)
    shelf = Shelf(store)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(count):
            shelf.keep(*make(number), 1.0)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == count
    assert 0.7 < store.bytes / taken < 1.4


def test_a_copy_is_decoded_and_its_callers_own() -> None:
    reply: Any = {b"k": [b"v", None, 1, 1.5, True, {b"m"}, {b"n": b"o"}]}
    copy = fresh(reply, decode=True)
    assert copy == {"k": ["v", None, 1, 1.5, True, {"m"}, {"n": "o"}]}
    raw = fresh(reply, decode=False)
    assert raw == reply
    raw[b"k"][5].add(b"mine")
    raw[b"k"][6].clear()
    raw[b"k"].clear()
    assert reply == {b"k": [b"v", None, 1, 1.5, True, {b"m"}, {b"n": b"o"}]}
    with pytest.raises(UnicodeDecodeError):
        fresh([b"\xff"], decode=True)


def test_the_size_of_a_reply_counts_what_is_in_it() -> None:
    assert size_of([b"x" * 1000] * 3) > 3000
    assert size_of({b"k" * 1000: [b"v" * 1000, {b"m" * 1000}]}) > 3000
