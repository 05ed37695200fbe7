"""
Every command staged in a pipeline gives what it gives in redis-py's, also where it fails.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import COMPARE, KINDS, Pair, open_pair
from tests.commands.rows.raw import UNREADABLE
from tests.commands.rows.row import Row

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Call to experimental"),
]

NOT_STAGED = {
    "digest_local": "sends nothing",
    "hscan_iter": "needs a reply at once",
    "scan_iter": "needs a reply at once",
    "sscan_iter": "needs a reply at once",
    "unwatch": "sends nothing without a watch",
    "watch": "is sent at once: test_pipelines.py",
    "zscan_iter": "needs a reply at once",
}
STAGED = {
    kind: [row for row in rows if row.method not in NOT_STAGED and row not in UNREADABLE]
    for kind, rows in KINDS.items()
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(calm: EmbeddedSentinel) -> AsyncIterator[Pair]:
    async with open_pair(calm) as pair:
        yield pair


@pytest.mark.parametrize(
    ("transaction", "raising"),
    [(True, False), (False, False), (False, True)],
    ids=["transaction-listing", "batch-listing", "batch-raising"],
)
@pytest.mark.parametrize("kind", STAGED)
async def test_the_results_and_the_effects_equal_redis_py(
    pair: Pair, kind: str, *, transaction: bool, raising: bool
) -> None:
    async def staged(client: Any, row: Row) -> Any:
        async with client.pipeline(transaction=transaction) as pipe:
            pipe.echo("before")
            done = getattr(pipe, row.method)(*row.args, **row.options)
            if inspect.isawaitable(done) and done is not pipe:
                await done
            pipe.set("after", "the row")
            return await pipe.execute(raise_on_error=raising)

    differing = []
    for row in STAGED[kind]:
        expected, data = await pair.effect(pair.theirs, row, staged)
        given, our_data = await pair.effect(pair.ours, row, staged)
        seen = COMPARE[row.compare]
        if seen(given) != seen(expected) or (our_data != data and row.compare == "exact"):
            differing.append((row.id, seen(given), seen(expected)))
    assert differing == []
