"""
Results equal redis-py's, command by command, on the same server: value, type, error, effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis.commands import AsyncCoreCommands

from sahool_cache import NeedsOwnConnectionError
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import COMPARE, ROWS, Pair, open_pair, outcome
from tests.commands.rows.row import Row, described

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # redis-py deprecates old commands,
    pytest.mark.filterwarnings("ignore:Call to experimental"),  # and is shy of new ones
]


STATEFUL: dict[str, tuple[Any, ...]] = {
    "auth": ("pw",),
    "client_no_evict": ("ON",),
    "client_no_touch": ("ON",),
    "client_reply": ("SKIP",),
    "client_setinfo": ("LIB-NAME", "x"),
    "client_setname": ("x",),
    "client_tracking": (),
    "client_tracking_off": (),
    "client_tracking_on": (),
    "himport_set": ("k", "fields", ["v"]),
    "psync": ("?", -1),
    "quit": (),
    "readonly": (),
    "readwrite": (),
    "reset": (),
    "select": (1,),
    "sync": (),
}
"""Methods of redis-py that change their connection's state, with arguments: refused here."""

NO_REPLY = {"psync", "sync", "quit", "client_reply"}
"""Those that do not give exactly one reply."""

LEFT_OUT = {
    "bgrewriteaof": "starts a child process, whose presence changes the next reply",
    "bgsave": "starts a child process, whose presence changes the next reply",
    "debug_segfault": "ends the server",
    "failover": "redis-py does not implement it, and neither side may move the master here",
    "himport_discard_all_internal": "for redis-py's own use; the server has no HIMPORT",
    "himport_discard_internal": "for redis-py's own use; the server has no HIMPORT",
    "himport_prepare_internal": "for redis-py's own use; the server has no HIMPORT",
    "replicaof": "takes the group apart",
    "save": "writes a file, and may meet the child process of a replica's synchronisation",
    "shutdown": "ends the server",
    "slaveof": "takes the group apart",
}
ELSEWHERE = {
    "bitfield": "gives a builder: test_a_bitfield_builder below",
    "register_script": "gives a callable: test_scripts.py",
}


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[(True, True), (False, False), (True, False)],
    ids=["str", "bytes", "bytes-by-option"],
)
async def pair(request: pytest.FixtureRequest, calm: EmbeddedSentinel) -> AsyncIterator[Pair]:
    set_up, asked = request.param
    async with open_pair(calm, set_up=set_up, asked=asked) as pair:
        yield pair


# Asked for bytes by a client that is set up so, test_every_command_of_the_server.py calls them all.
@pytest.mark.parametrize(
    "pair", [(True, True), (True, False)], ids=["str", "bytes-by-option"], indirect=True
)
@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
async def test_the_result_and_the_effect_equal_redis_py(pair: Pair, row: Row) -> None:
    expected, data = await pair.effect(pair.theirs, row)
    given, our_data = await pair.effect(pair.ours, row)
    seen = COMPARE[row.compare]
    assert seen(given) == seen(expected)
    # An id that the server made of its clock is part of the data.
    assert our_data == data or row.compare != "exact"


async def test_every_method_of_redis_py_is_compared_or_left_out_for_a_reason() -> None:
    methods = {
        name
        for name in dir(AsyncCoreCommands)
        if not name.startswith("_") and callable(getattr(AsyncCoreCommands, name))
    }
    compared = {row.method for row in ROWS}
    told = STATEFUL.keys() | LEFT_OUT.keys() | ELSEWHERE.keys()
    assert methods - compared - told == set()
    assert (compared | told) - methods == set()
    assert compared & told == set()


@pytest.mark.parametrize("method", sorted(STATEFUL))
async def test_a_method_that_changes_its_connection_is_refused(pair: Pair, method: str) -> None:
    error = await outcome(lambda: getattr(pair.ours, method)(*STATEFUL[method]))
    assert isinstance(error, NeedsOwnConnectionError), error
    assert "redis." in str(error) or "RedisSettings" in str(error) or "redis-cli" in str(error)


@pytest.mark.parametrize("method", sorted(STATEFUL.keys() - NO_REPLY))
async def test_a_client_of_one_connection_takes_it_like_redis_py(pair: Pair, method: str) -> None:
    row = Row(method=method, args=STATEFUL[method])
    async with pair.theirs.client() as theirs, pair.ours.client() as ours:
        expected, _ = await pair.effect(theirs, row)
        given, _ = await pair.effect(ours, row)
    assert described(given) == described(expected)


async def test_a_bitfield_builder(pair: Pair) -> None:
    def build(client: Any) -> Any:
        field = client.bitfield("bits", default_overflow="SAT")
        return field.incrby("u8", 0, 300).get("u4", "#1").overflow("FAIL").set("u2", 0, 9).execute()

    expected = await outcome(lambda: build(pair.theirs))
    await pair.direct.delete("bits")
    given = await outcome(lambda: build(pair.ours))
    await pair.direct.delete("bits")
    assert type(expected) is list
    assert described(given) == described(expected)


async def test_the_digest_tells_data_apart(pair: Pair) -> None:
    _, before = await pair.effect(pair.ours, Row(method="get", args=("text",)))
    _, after = await pair.effect(pair.ours, Row(method="set", args=("text", "new")))
    assert before != after
