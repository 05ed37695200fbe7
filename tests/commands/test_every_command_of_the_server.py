"""
Every command that the server lists is compared with redis-py, by a method's row or by its name.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache.commands import SPECS
from sahool_cache.embedded import EmbeddedSentinel
from tests.commands.pair import COMPARE, ROWS, Pair, called, open_pair, outcome
from tests.commands.rows.raw import CONTAINERS, ON_ONE_CONNECTION
from tests.commands.rows.row import Row, Words, described
from tests.commands.sent import sent_by

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Call to"),
]

MANY_REPLIES = "streams to its connection, or ends it: test_canaries.py has its refusal"
LEFT_OUT = {
    **dict.fromkeys(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"), "test_pubsub.py has them"),
    **dict.fromkeys(("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"), "test_pubsub.py has them"),
    **dict.fromkeys(("MONITOR", "PSYNC", "QUIT", "REPLCONF", "SYNC"), MANY_REPLIES),
    **dict.fromkeys(("CLIENT REPLY", "CLUSTER SYNCSLOTS"), MANY_REPLIES),
}
"""What neither has a row nor one on a connection of its own."""

OF_A_CLUSTER = [
    spec.name
    for spec in SPECS.values()
    if spec.name.startswith("CLUSTER") and spec.name != "CLUSTER KEYSLOT" and spec.own is None
]
WITHOUT_THE_GROUP = "would end the group or take it apart"
NEEDS_A_FILE = "writes or needs a file"
ONLY_ERRORS = {
    **dict.fromkeys(CONTAINERS, "does nothing without a sub-command"),
    **dict.fromkeys(OF_A_CLUSTER, "this server is no part of a cluster"),
    **dict.fromkeys(("FAILOVER", "REPLICAOF", "SHUTDOWN", "SLAVEOF"), WITHOUT_THE_GROUP),
    **dict.fromkeys(("ACL LOAD", "ACL SAVE", "BGREWRITEAOF", "BGSAVE", "SAVE"), NEEDS_A_FILE),
    **dict.fromkeys(("MODULE LOAD", "MODULE LOADEX", "MODULE UNLOAD"), NEEDS_A_FILE),
    **dict.fromkeys(("FUNCTION KILL", "SCRIPT KILL"), "kills what runs: test_scripts.py"),
    "LATENCY GRAPH": "has nothing to draw while the server is quick",
    "OBJECT FREQ": "needs another way of eviction",
    "PFSELFTEST": "keeps the server busy for half a second",
}
CLUSTER_ONLY = {"CLUSTER KEYSLOT", "READONLY", "READWRITE"}
"""What Redis takes in a cluster only, and the bundled server everywhere."""

BUNDLED = "COMMANDLOG"
"""A command that only the bundled server has; it has all that are named here."""

ONLY_ERRORS_ON_ONE = {
    "ASKING": ONLY_ERRORS["CLUSTERSCAN"],
    "AUTH": "the server knows no password",
    "CLIENT CACHING": "needs a client that tracks",
    "CLIENT IMPORT-SOURCE": "needs a server that imports",
    "DISCARD": "needs MULTI first: test_own_connection.py",
    "EXEC": "needs MULTI first: test_own_connection.py",
}


@pytest.fixture(scope="module", params=[None, "redis-server"], ids=["bundled", "redis"])
def another(request: pytest.FixtureRequest) -> Iterator[EmbeddedSentinel]:
    """
    A group of the bundled server, and one of the Redis that the machine may have.
    """
    if request.param and shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: compared on the bundled server only")
    group = EmbeddedSentinel(
        replicas=1, down_after=3.0, server=request.param, server_config={"hz": 100}
    )
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(another: EmbeddedSentinel) -> AsyncIterator[Pair]:
    async with open_pair(another, set_up=False, asked=False) as pair:
        yield pair


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def listed(pair: Pair) -> set[str]:
    """
    Every command and sub-command of the server.
    """
    names = await pair.direct.execute_command("COMMAND LIST")
    return {name.decode().upper().replace("|", " ") for name in names}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arities(pair: Pair) -> dict[str, int]:
    """
    How many words each of them needs, its name among them.
    """
    # By a script: redis-py's callback leaves the sub-commands out.
    infos = await pair.direct.execute_command("EVAL", "return redis.call('COMMAND')", 0)
    every = [*infos, *(sub for info in infos for sub in info[9])]
    return {info[0].decode().upper().replace("|", " "): abs(info[1]) for info in every}


class Compared:
    """
    How some calls end, which are to end as redis-py's.
    """

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.succeeded: set[str] = set()
        self.differing: list[tuple[str, Any, Any]] = []

    async def add(self, pair: Pair, row: Row, names: set[str]) -> None:
        """
        Calls the row on both clients.
        """
        expected, data = await pair.effect(pair.theirs, row)
        given, our_data = await pair.effect(pair.ours, row)
        seen = COMPARE[row.compare]
        if seen(given) != seen(expected) or (our_data != data and row.compare == "exact"):
            self.differing.append((row.id, seen(given), seen(expected)))
        self.sent |= names
        self.succeeded |= set() if isinstance(expected, Exception) else names


def known(commands: tuple[Words, ...], listed: set[str]) -> bool:
    return all(words[0] in listed for words in commands)


async def test_every_command_is_compared_in_a_call_that_succeeds_and_ends_as_redis_pys(
    pair: Pair, listed: set[str]
) -> None:
    assert len(listed) > 350
    ends = Compared()
    for row in ROWS:
        if not known(row.given, listed):
            continue
        names = {name if name in listed else name.split()[0] for name in await sent_by(row)}
        await ends.add(pair, row, names)
    assert ends.differing == []
    refused = {name for name in listed if name in SPECS and SPECS[name].own is not None}
    assert listed - ends.sent - refused == set(), "these have no row: see rows/raw.py"
    failed = listed - ends.succeeded - refused - (set() if BUNDLED in listed else CLUSTER_ONLY)
    assert failed == ONLY_ERRORS.keys() & listed
    assert refused & ends.sent == set()


async def test_what_changes_its_connection_ends_as_redis_pys_on_one_of_its_own(
    pair: Pair, listed: set[str]
) -> None:
    ends = Compared()
    for row in ON_ONE_CONNECTION:
        async with pair.theirs.client() as theirs, pair.ours.client() as ours:
            on_one = Pair(ours=ours, theirs=theirs, direct=pair.direct)
            await ends.add(on_one, row, await sent_by(row))
        await pair.theirs.connection_pool.disconnect()  # it would be lent again as it is
    assert ends.differing == []
    refused = {name for name in listed if name in SPECS and SPECS[name].own is not None}
    assert refused - ends.sent == LEFT_OUT.keys() & listed, "see ON_ONE_CONNECTION in rows/raw.py"
    failed = (refused & ends.sent) - ends.succeeded - (set() if BUNDLED in listed else CLUSTER_ONLY)
    assert failed == ONLY_ERRORS_ON_ONE.keys() & listed


async def test_no_reason_is_stale(listed: set[str]) -> None:
    told = ONLY_ERRORS.keys() | ONLY_ERRORS_ON_ONE.keys() | LEFT_OUT.keys()
    assert told - SPECS.keys() - set(CONTAINERS) == set()
    if BUNDLED in listed:
        assert told - listed - {"CLUSTER SYNCSLOTS"} == set()


async def test_every_command_with_too_few_arguments_fails_as_in_redis_py(
    pair: Pair, arities: dict[str, int], listed: set[str]
) -> None:
    assert arities.keys() == listed
    short = [name for name, arity in arities.items() if arity > len(name.split())]
    asked = [name for name in short if name not in SPECS or SPECS[name].own is None]
    assert len(asked) > 200
    for name in asked:
        for args in ((name,), tuple(name.split()), (name.lower(),)):
            row = Row(method="execute_command", args=args)
            theirs = await outcome(called, pair.theirs, row)
            assert isinstance(theirs, Exception), row.id
            assert described(await outcome(called, pair.ours, row)) == described(theirs), row.id
