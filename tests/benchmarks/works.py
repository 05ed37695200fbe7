"""
What the clients do: each work is one call, made over and over by a number of tasks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import astuple, dataclass
from itertools import count, cycle
from secrets import token_hex
from typing import Any

from tests.benchmarks.clients import Client, make_client
from tests.benchmarks.model import Target
from tests.benchmarks.recipes import PROFILES, Recipes, make_recipes, profile

__all__ = ["HOT", "WORKS", "Call", "Data", "Work", "key_names"]

HOT = "hot"
"""The one key that is written only to see how soon the writing is noticed."""

_KEYS = 10_000
_MEMORY = 20_000_000

Call = Callable[[], Awaitable[object]]


def key_names(value_bytes: int) -> list[str]:
    """
    The keys that hold values of that size: 10,000, or as many as take 20 MB.
    """
    count = max(16, min(_KEYS, _MEMORY // value_bytes))
    return [f"key:{value_bytes}:{number}" for number in range(count)]


class Data:
    """
    The keys in one order for everybody, and a value to write.
    """

    def __init__(self, value_bytes: int, seed: int = 7) -> None:
        self.value = b"x" * value_bytes
        self.names = key_names(value_bytes)
        random.Random(seed).shuffle(self.names)

    def keys(self) -> Iterator[str]:
        """
        All keys, over and over.
        """
        return cycle(self.names)

    def groups(self, size: int) -> Iterator[list[str]]:
        """
        Lists of that many keys, over and over.
        """
        names = self.names
        return cycle([names[n : n + size] for n in range(0, len(names) - size + 1, size)])


Make = Callable[[str, Target, Mapping[str, Any]], Any]
Start = Callable[[Any, Data], Call]
Check = Callable[[Any, Data], Awaitable[None]]


async def _check_values(client: Client, data: Data) -> None:
    size = len(data.value)
    value = await client.get(data.names[0])
    assert len(value) == size, f"GET answers {str(value)[:40]}"
    values = await client.mget(data.names[:2])
    assert list(map(len, values)) == [size] * 2, "MGET answers something else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    One call, how many tasks make it, and how many commands it is.

    A call so quick that reading the clock would show is made `run` times between two looks, and the
    event loop has its turn then. `beside` is done by `beside_tasks` others meanwhile, uncounted.
    `make` gives the client, and `check` raises `AssertionError` where it does something else.
    """

    name: str
    about: str
    start: Start
    tasks: int = 1
    commands: int = 1
    run: int = 1
    beside: Start | None = None
    beside_tasks: int = 0
    make: Make = make_client
    check: Check = _check_values


def _get(client: Client, data: Data) -> Call:
    get, keys = client.get, data.keys()
    return lambda: get(next(keys))


def _get_hot(client: Client, data: Data) -> Call:
    get, key = client.get, data.names[0]
    return lambda: get(key)


def _set(client: Client, data: Data) -> Call:
    set_, keys, value = client.set, data.keys(), data.value
    return lambda: set_(next(keys), value)


def _mix(client: Client, data: Data) -> Call:
    get, set_, keys, value = client.get, client.set, data.keys(), data.value
    writes = cycle([False, False, True, False, False])
    return lambda: set_(next(keys), value) if next(writes) else get(next(keys))


def _pipeline(client: Client, data: Data) -> Call:
    set_all, groups, value = client.set_all, data.groups(1000), data.value
    return lambda: set_all(next(groups), value)


def _mget(client: Client, data: Data) -> Call:
    mget, groups = client.mget, data.groups(100)
    return lambda: mget(next(groups))


def _durable(client: Client, data: Data) -> Call:
    durable_set, keys, value = client.durable_set, data.keys(), data.value
    return lambda: durable_set(next(keys), value)


def _get_big(client: Client, _data: Data) -> Call:
    return _get(client, Data(1_000_000))


def _script(client: Client, _data: Data) -> Call:
    return lambda: client.script(_BUSY)


_BUSY = "for n = 1, 2000000 do end return 1"
"""Keeps the server for about 20 ms. Scripts cannot measure time: their clock stands still."""


def _hit(recipes: Recipes, _data: Data) -> Call:
    call, numbers = recipes.hits(), cycle(range(PROFILES))
    return lambda: call(next(numbers))


async def _check_hits(recipes: Recipes, _data: Data) -> None:
    load, hit = recipes.cached(profile), recipes.hits()
    for first in range(0, PROFILES, _AT_ONCE):
        await asyncio.gather(*map(load, range(first, first + _AT_ONCE)))
    # Some of them are enough: should one be missing, the work fails.
    for number in range(_AT_ONCE):
        told = str(await hit(number))  # an object, a dict or its JSON
        assert all(str(part) in told for part in astuple(profile(number))), f"a hit is {told}"


def _limit(recipes: Recipes, _data: Data) -> Call:
    take, names = recipes.limiter(_PLENTY), cycle([f"user:{number}" for number in range(_IDS)])
    return lambda: take(next(names))


async def _check_limit(recipes: Recipes, _data: Data) -> None:
    take, name = recipes.limiter(2), f"checked:{token_hex(8)}"
    allowed = [bool(await take(name)) for _ in range(3)]
    assert allowed == [True, True, False], f"of two, the limiter allows {allowed}"


async def _held(lock: AbstractAsyncContextManager[Any]) -> None:
    async with lock:
        pass


def _lock(recipes: Recipes, _data: Data) -> Call:
    lock, numbers = recipes.lock, count()
    return lambda: _held(lock(f"job:{next(numbers)}"))


def _hand_over(recipes: Recipes, _data: Data) -> Call:
    lock = recipes.lock
    return lambda: asyncio.gather(*(_held(lock("job")) for _ in range(_TURNS)))


async def _check_lock(recipes: Recipes, _data: Data) -> None:
    inside = 0

    async def alone() -> None:
        nonlocal inside
        async with recipes.lock("checked"):
            inside += 1
            assert inside == 1, "several have the lock"
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(alone() for _ in range(3)))


_AT_ONCE, _IDS, _PLENTY, _TURNS = 50, 1000, 1_000_000, 10


def _recipe(name: str, about: str, start: Start, check: Check, **more: int) -> Work:
    return Work(name=name, about=about, start=start, check=check, make=make_recipes, **more)


def _named(works: Iterable[Work]) -> dict[str, Work]:
    return {work.name: work for work in works}


WORKS: dict[str, Work] = _named(
    (
        Work(name="get-1", about="one task, sequential GET", start=_get),
        Work(name="get-100", about="100 tasks GET", start=_get, tasks=100),
        Work(name="get-1000", about="1000 tasks GET", start=_get, tasks=1000),
        Work(name="spread-1000", about="1000 tasks GET, beside replicas", start=_get, tasks=1000),
        Work(name="mix-100", about="100 tasks, 80 % GET, 20 % SET", start=_mix, tasks=100),
        Work(
            name="pipeline-1000",
            about="explicit pipeline of 1000 SET",
            start=_pipeline,
            commands=1000,
        ),
        Work(name="mget-100", about="MGET of 100 keys", start=_mget),
        Work(name="hot-key", about="one task, GET of one hot key", start=_get_hot, run=1000),
        Work(name="durable-100", about="100 tasks, durable SET", start=_durable, tasks=100),
        Work(name="set-100", about="100 tasks SET", start=_set, tasks=100),
        Work(name="memory", about="millions of GET by 100 tasks", start=_get, tasks=100),
        Work(name="get", about="GET by any number of tasks", start=_get),
        Work(name="small", about="20 tasks GET", start=_get, tasks=20),
        Work(
            name="beside-big",
            about="20 tasks GET, while 2 others read values of 1 MB",
            start=_get,
            tasks=20,
            beside=_get_big,
            beside_tasks=2,
        ),
        Work(
            name="beside-slow",
            about="20 tasks GET, while another runs scripts of about 20 ms",
            start=_get,
            tasks=20,
            beside=_script,
            beside_tasks=1,
        ),
        Work(name="invalidation", about="how soon a write by another is seen", start=_get_hot),
        _recipe(
            "cache-hit-100",
            "100 tasks call a cached function, each time a hit",
            _hit,
            _check_hits,
            tasks=100,
        ),
        _recipe(
            "limiter-100",
            "100 tasks ask a limiter that allows all, about 1000 ids",
            _limit,
            _check_limit,
            tasks=100,
        ),
        _recipe(
            "lock-100",
            "100 tasks take and give back a lock that nobody else wants",
            _lock,
            _check_lock,
            tasks=100,
        ),
        _recipe(
            "lock-hand-over",
            f"{_TURNS} tasks ask for one lock at once, and do nothing once they have it",
            _hand_over,
            _check_lock,
            commands=_TURNS,
        ),
    )
)
