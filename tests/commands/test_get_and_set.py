"""
GET and SET in every view and pipeline: callbacks, what is not awaited, what a replica may serve.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import AsyncIterator, Callable
from itertools import product
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache import ReadOnlyViewError
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.drawn import Call
from tests.commands.pair import AnyClient, Pair, open_pair, outcome
from tests.commands.rows.row import described
from tests.commands.ways import WAYS
from tests.commands.wiretap import open_wiretap

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.filterwarnings("ignore:Call to 'set' method with experimental"),
]


def shaping(reply: Any, **options: Any) -> Any:
    return "shaped", reply, sorted(map(str, options.items()))


async def slowly_shaping(reply: Any, **options: Any) -> Any:
    return "shaped slowly", reply, sorted(map(str, options.items()))


def failing(reply: Any, **options: Any) -> Any:
    raise ZeroDivisionError(reply)


CALLBACKS: dict[str, Callable[..., Any]] = {
    callback.__name__: callback for callback in (shaping, slowly_shaping, failing)
}
CALLS = [
    Call(method="set", args=("k", "v")),
    Call(method="set", args=("k", "w"), options={"get": True}),
    Call(method="set", args=("k", "v"), options={"nx": True}),
    Call(method="set", args=("list", "v"), options={"get": True}),
    Call(method="get", args=("k",)),
    Call(method="get", args=("missing",)),
    Call(method="get", args=("list",)),
    Call(method="execute_command", args=("GET", "k")),
    Call(method="execute_command", args=("set", "k", "v"), options={"get": True}),
]


@pytest_asyncio.fixture(params=[(True, True), (True, False)], ids=["str", "bytes-by-option"])
async def pair(request: pytest.FixtureRequest, calm: EmbeddedSentinel) -> AsyncIterator[Pair]:
    set_up, asked = request.param
    async with open_pair(calm, set_up=set_up, asked=asked) as pair:
        await pair.direct.flushall()
        await pair.direct.rpush("list", "a")
        yield pair


@pytest.mark.parametrize("command", ["GET", "set"])
@pytest.mark.parametrize("callback", CALLBACKS)
async def test_a_callback_of_ones_own_shapes_replies_as_in_redis_py(
    pair: Pair, command: str, callback: str
) -> None:
    for client in (pair.ours, pair.theirs):
        await client.get("k")
        client.set_response_callback(command, CALLBACKS[callback])
    for way in WAYS.keys() - {"one connection"}:  # redis-py's own starts with the usual callbacks
        for call in CALLS:
            ends = []
            for client in (pair.theirs, pair.ours):
                await pair.direct.set("k", "found")
                ends.append(described(await WAYS[way](client, call)))
            assert ends[1] == ends[0], (way, call)
            # Where a callback raises in a batch, redis-py's connection is left out of step.
            await pair.theirs.connection_pool.disconnect()


async def test_an_old_value_that_set_was_asked_for_is_told_also_if_it_is_empty(pair: Pair) -> None:
    for way, old in product(WAYS, ("", "OK", "v")):
        call = Call(method="execute_command", args=("SET", "k", "new", "GET"))
        ends = []
        for client in (pair.theirs, pair.ours):
            await pair.direct.set("k", old)
            ends.append(described(await WAYS[way](client, call)))
        assert ends[1] == ends[0], (way, old)


async def test_a_callback_of_ones_own_holds_on_one_connection_too(pair: Pair) -> None:
    pair.ours.set_response_callback("SET", shaping)
    pair.ours.set_response_callback("GET", slowly_shaping)
    async with pair.ours.client() as one:
        assert (await one.set("k", "v"))[0] == "shaped"
        assert (await one.get("k"))[0] == "shaped slowly"


async def test_a_callback_that_is_replaced_or_taken_away_is_asked_no_more(pair: Pair) -> None:
    for client in (pair.ours, pair.theirs):
        client.set_response_callback("GET", shaping)
        assert (await client.get("missing"))[0] == "shaped"
        client.set_response_callback("GET", slowly_shaping)
        assert (await client.get("missing"))[0] == "shaped slowly"
        client.response_callbacks.pop("GET")
        assert await client.get("missing") is None
        shown = client.response_callbacks.pop("SET")
        assert await client.set("k", "v") in ("OK", b"OK")
        client.set_response_callback("SET", shown)
        assert await client.set("k", "v") is True


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method}{call.args}")
async def test_what_is_called_and_not_awaited_sends_nothing(
    calm: EmbeddedSentinel, pair: Pair, call: Call
) -> None:
    async with open_wiretap(calm.master.address, pair.direct) as wiretap:
        for client in (pair.theirs, pair.ours):
            given = call(client)
            assert inspect.iscoroutine(given)
            given.close()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(client.pipeline())
        assert await wiretap.since(frozenset({"GET", "SET"})) == []


WRITES: dict[str, Callable[[Any], Any]] = {
    "plain": lambda r: r.set("k", "v"),
    "by name": lambda r: r.set(name="k", value=b"v", ex=10, nx=True),
    "reading as well": lambda r: r.set("k", "v", get=True),
    "experimental": lambda r: r.set("k", "v", ifeq="found"),
    "of what cannot be sent": lambda r: r.set("k", None),
    "a counter": lambda r: r.incr("k"),
    "a hash": lambda r: r.hset("h", "a", 1),
    "an expiry": lambda r: r.expire("k", 5),
    "a deletion": lambda r: r.delete("k"),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_view_that_only_reads_refuses_every_form_of_set_and_sends_nothing(
    calm: EmbeddedSentinel, calm_redis: AnyClient, name: str
) -> None:
    await calm_redis.set("k", "found")
    await calm_redis.wait(2, 5000)
    async with calm_redis.scope() as scope, open_pair(calm) as pair:
        views = [calm_redis.replica, scope.replica, calm_redis.replica.with_options(timeout=5)]
        for view in views:
            assert isinstance(await outcome(lambda v=view: WRITES[name](v)), ReadOnlyViewError)
            with pytest.raises(ReadOnlyViewError):
                WRITES[name](view.pipeline())
        with pytest.raises(ReadOnlyViewError):
            WRITES[name](calm_redis.pipeline(use_slave=True))
        assert await pair.direct.get("k") == b"found"
        assert await pair.direct.pttl("k") == -1


READS: dict[str, Callable[[Any], Any]] = {
    "a text": lambda r: r.get("text"),
    "a key of bytes": lambda r: r.get(b"text"),
    "nothing": lambda r: r.get("missing"),
    "a list": lambda r: r.get("list"),
    "what cannot be sent": lambda r: r.get(None),
    "what cannot be decoded": lambda r: r.get("binary"),
    "several": lambda r: r.mget("text", "missing", "list"),
    "none": lambda r: r.mget([]),
    "a count": lambda r: r.exists("text", "missing", "text"),
    "a field": lambda r: r.hget("hash", "a"),
}


@pytest.mark.parametrize("name", READS)
async def test_a_replica_gives_what_redis_py_reads_from_the_master(
    calm: EmbeddedSentinel, calm_redis: AnyClient, name: str
) -> None:
    await calm_redis.mset({"text": "hello", "binary": b"\xff"})
    await calm_redis.rpush("list", "a")
    await calm_redis.hset("hash", "a", 1)
    await calm_redis.wait(2, 5000)
    read = READS[name]
    async with open_pair(calm) as pair, calm_redis.scope() as scope:
        expected = described(await outcome(lambda: read(pair.theirs)))
        views = [calm_redis.replica, scope.replica, scope, calm_redis.replica.master]
        views += [calm_redis.with_options(read_from=where) for where in ("nearest", "replica")]
        for view in views:
            assert described(await outcome(lambda v=view: read(v))) == expected
