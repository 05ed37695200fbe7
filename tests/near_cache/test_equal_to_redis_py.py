"""
What is kept equals what redis-py gives, when it is asked for and when it is there: the value, its
types, and the error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.near_cache import CACHED
from tests.commands.pair import COMPARE, ROWS, Pair, called, outcome
from tests.commands.rows.row import Row, row
from tests.near_cache.clients import caching, figures, near, ready

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # redis-py deprecates old commands
]


def _kept(row: Row) -> bool:
    name = row.args[0] if row.method == "execute_command" and row.args else row.method
    return (name.decode() if isinstance(name, bytes) else str(name)).upper() in CACHED


MORE = [
    row("execute_command", "GET", "text", "other"),
    row("execute_command", "get", "text"),
    row("execute_command", b"GET", "text"),
    row("execute_command", "MGET", "text", "text", "missing", "list"),
    row("exists", "text", "text", "missing"),
    row("get", ""),
    row("get", b"\xff"),
    row("hgetall", "rawhash"),
    row("lrange", "rawlist", 0, -1),
    row("mget", "text", "binary"),
    row("getrange", "binary", 0, -1),
]
CALLS = [row for row in ROWS if _kept(row)] + MORE


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[True, False], ids=["str", "bytes"]
)
async def pair(
    request: pytest.FixtureRequest, calm: EmbeddedSentinel
) -> AsyncIterator[tuple[Pair, RedisClient]]:
    host, port = calm.master.address
    async with (
        caching(calm, decode_responses=request.param) as ours,
        Redis(host=host, port=port, decode_responses=request.param) as theirs,
        Redis(host=host, port=port) as direct,
    ):
        yield Pair(ours=ours, theirs=theirs, direct=direct), ours


@pytest.mark.parametrize("row", CALLS, ids=[row.id for row in CALLS])
async def test_the_cold_and_the_warm_reply_equal_redis_py(
    pair: tuple[Pair, RedisClient], row: Row
) -> None:
    clients, ours = pair
    expected, data = await clients.effect(clients.theirs, row)
    near(ours).wrote([("EVAL", "", 0)])  # what the other has written is heard of first
    await ready(ours)
    before = figures(ours).hits
    cold = await outcome(called, ours, row)
    warm = await outcome(called, ours, row)
    seen = COMPARE[row.compare]
    assert seen(cold) == seen(expected)
    assert seen(warm) == seen(expected)
    if not isinstance(expected, Exception) and row.args != ([],):  # which asks for nothing
        assert figures(ours).hits == before + 1
    assert await clients.direct.execute_command("DEBUG", "DIGEST") == data


async def test_the_rows_call_nearly_every_command_that_is_kept() -> None:
    called_here = {row.method.upper() for row in CALLS} | {
        str(row.args[0]).upper() for row in CALLS if row.method == "execute_command"
    }
    assert CACHED.keys() - called_here == set()
