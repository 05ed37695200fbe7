"""
The commonest commands equal redis-py's whatever their arguments are, in every way to call them.

Compared are the value with its types, the error with its text, when it is raised, the warnings,
the words that reached the server, and the data after it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.drawn import (
    OTHER_CALLS,
    SET_AND_GET,
    SET_OPTIONS,
    Call,
    every_argument,
    every_two,
    set_calls,
)
from tests.commands.pair import Pair, open_pair
from tests.commands.rows.row import described
from tests.commands.ways import STAGED, WAYS
from tests.commands.wiretap import Wiretap, open_wiretap

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASES = int(os.environ.get("FUZZ_CASES", "200"))
NAMES = frozenset({"SET", "GET", "MGET", "EXISTS", "DEL", "HGET", "HSET", "INCRBY", "EXPIRE"})
LATER = 4_000_000_000_000
WRITTEN = {
    "nothing": "",
    "text": "redis.call('SET', 'k', 'old')",
    "expiring": f"redis.call('SET', 'k', 'old', 'PXAT', '{LATER}')",
    "number": "redis.call('SET', 'k', '10')",
    "raw": "redis.call('SET', 'k', '\\255\\0')",
    "list": "redis.call('RPUSH', 'k', 'old')",
}
AROUND = """
redis.call('FLUSHALL')
redis.call('RPUSH', 'list', 'a')
redis.call('HSET', 'hash', 'a', '1', 'b', '\\255')
"""
DECODED = [(True, True), (False, False), (True, False), (False, True)]
"""How ours is set up, and how both are asked to decode."""


class Compared:
    """
    Both clients, decoding in each way, and what is heard at the server.
    """

    def __init__(self, pairs: list[Pair], wiretap: Wiretap) -> None:
        self.pairs = pairs
        self._wiretap = wiretap

    async def ends(self, pair: Pair, client: Any, way: str, call: Call, found: str) -> Any:
        """
        All that may be seen of the call.
        """
        await pair.direct.execute_command("EVAL", AROUND + WRITTEN[found], 0)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            end = await WAYS[way](client, call)
        async with pair.direct.pipeline(transaction=False) as pipe:
            pipe.execute_command("DEBUG", "DIGEST").execute_command("PEXPIRETIME", "k")
            digest, expires = await pipe.execute()
        told = [(w.category.__name__, str(w.message), w.filename) for w in warned]
        return [_named(described(end)), told, await self._wiretap.since(NAMES), digest], expires

    async def equal(self, call: Call, way: str, found: str, which: int) -> None:
        """
        Fails where ours ends otherwise than redis-py's.
        """
        pair = self.pairs[which]
        expected, expires = await self.ends(pair, pair.theirs, way, call, found)
        seen, our_expires = await self.ends(pair, pair.ours, way, call, found)
        assert seen == expected, (call, way, found)
        # What is counted from now differs by the time between the two calls.
        assert our_expires == pytest.approx(expires, rel=0, abs=60_000 if expires > 0 else 0)


def _named(seen: Any) -> Any:
    """
    What was seen, with the names of functions without those of their classes.
    """
    if isinstance(seen, tuple) and len(seen) == 2 and seen[0] == "TypeError":
        return seen[0], re.sub(r"\b\w+\.(\w+\(\))", r"\1", seen[1])
    if isinstance(seen, tuple | list):
        return [_named(each) for each in seen]
    return seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compared(calm: EmbeddedSentinel) -> AsyncIterator[Compared]:
    async with AsyncExitStack() as stack:
        pairs = [
            await stack.enter_async_context(open_pair(calm, set_up=set_up, asked=asked))
            for set_up, asked in DECODED
        ]
        tap = open_wiretap(calm.master.address, pairs[0].direct)
        yield Compared(pairs, await stack.enter_async_context(tap))


fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
ways, founds = st.sampled_from(list(WAYS)), st.sampled_from(list(WRITTEN))
decoded = st.integers(0, len(DECODED) - 1)


@fuzzed
@given(call=SET_AND_GET, way=ways, found=founds, which=decoded)
async def test_whatever_set_and_get_are_given_they_do_what_redis_pys_do(
    compared: Compared, call: Call, way: str, found: str, which: int
) -> None:
    await compared.equal(call, way, found, which)


@fuzzed
@given(call=OTHER_CALLS, way=ways, found=founds, which=decoded)
async def test_whatever_the_next_commonest_are_given_they_do_what_redis_pys_do(
    compared: Compared, call: Call, way: str, found: str, which: int
) -> None:
    await compared.equal(call, way, found, which)


TABLES: dict[str, list[Call]] = {
    **{f"set with {name}": set_calls(name) for name in SET_OPTIONS},
    "set with every two": every_two(),
    "every argument": every_argument(),
}


@pytest.mark.parametrize("table", TABLES)
async def test_every_value_of_every_argument_does_what_it_does_in_redis_py(
    compared: Compared, table: str
) -> None:
    turns = zip(cycle(STAGED), cycle(WRITTEN), cycle(range(len(DECODED))), strict=False)
    for call, (way, found, which) in zip(TABLES[table], turns, strict=False):
        await compared.equal(call, "plain", "expiring", which)
        await compared.equal(call, way, found, which)
