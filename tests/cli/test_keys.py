from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli

ODD = b"a\x00\xff\x1b[31m\n"
KEYS = {b"user:1", b"user:2", "مفتاح".encode(), ODD, b"hash"}


@pytest.fixture(scope="module")
def group(calm_group: EmbeddedSentinel) -> Iterator[EmbeddedSentinel]:
    async def fill() -> None:
        master = calm_group.master
        for key in KEYS - {b"hash"}:
            await calm_group.command(master, "SET", key, "1", "EX", "1000")
        await calm_group.command(master, "HSET", "hash", "field", "value")
        await calm_group.wait_in_sync()

    asyncio.run(fill())
    yield calm_group
    asyncio.run(calm_group.command(calm_group.master, "FLUSHALL"))


def calls(group: EmbeddedSentinel, command: str) -> list[int]:
    """
    How often the command ran, on the master and on the replicas together.
    """

    async def ask() -> list[int]:
        counts = []
        for node in (group.master, *group.replicas):
            stats = str(await group.command(node, "INFO", "commandstats"))
            lines = [line for line in stats.splitlines() if line.startswith(f"cmdstat_{command}:")]
            counts += [int(line.partition("calls=")[2].partition(",")[0]) for line in lines] or [0]
        return [counts[0], sum(counts[1:])]

    return asyncio.run(ask())


def test_all_keys_are_listed_escaped_and_a_replica_is_asked(
    group: EmbeddedSentinel, here: Cli
) -> None:
    before = calls(group, "scan")
    done = here("keys", settings=group.settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {
        *("user:1", "user:2", "مفتاح", "hash"),
        r"a\x00\xff\x1b[31m\n",
    }
    after = calls(group, "scan")
    assert after[0] == before[0], "the master was not asked"
    assert after[1] > before[1]


def test_json_holds_every_name_whole(group: EmbeddedSentinel, here: Cli) -> None:
    done = here("keys", "--json", settings=group.settings)
    found = json.loads(done.stdout)
    assert (done.returncode, found["complete"], found["stopped_by"]) == (0, True, None)
    names = [each["key"] for each in found["keys"]]
    odd = [base64.b64decode(each["base64"]) for each in names if isinstance(each, dict)]
    assert odd == [ODD]
    assert {each.encode() for each in names if isinstance(each, str)} == KEYS - {ODD}


def test_long_tells_type_ttl_memory_and_encoding(group: EmbeddedSentinel, here: Cli) -> None:
    done = here("keys", "--long", "--json", settings=group.settings)
    found = {str(each["key"]): each for each in json.loads(done.stdout)["keys"]}
    assert found["hash"]["type"] == "hash"
    assert found["hash"]["ttl"] is None
    assert found["hash"]["encoding"] == "listpack"
    assert found["hash"]["bytes"] > 0
    assert 0 < found["user:1"]["ttl"] <= 1000
    told = here("keys", "-l", settings=group.settings).stdout.splitlines()
    assert told[0].split() == ["type", "ttl", "memory", "encoding", "key"]
    assert next(line for line in told if line.endswith(" hash")).split()[:2] == ["hash", "-"]
    assert next(line for line in told if line.endswith(" user:1")).split()[:2] == ["string", "16m"]


def test_pattern_type_and_database_choose(group: EmbeddedSentinel, here: Cli) -> None:
    for arguments, names in (
        (("user:*",), {"user:1", "user:2"}),
        (("--type", "hash"), {"hash"}),
        (("مف*",), {"مفتاح"}),
    ):
        done = here("keys", *arguments, settings=group.settings)
        assert set(done.stdout.splitlines()) == names
    done = here("keys", "--db", "1", settings=group.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no key matches\n")


def test_a_search_that_stops_early_says_so(group: EmbeddedSentinel, here: Cli) -> None:
    done = here("keys", "--limit", "2", settings=group.settings)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "stopped by --limit after 2 keys; there may be more\n"
    found = json.loads(here("keys", "--limit", "2", "--json", settings=group.settings).stdout)
    assert (len(found["keys"]), found["complete"], found["stopped_by"]) == (2, False, "limit")
    exact = json.loads(here("keys", "--limit", "5", "--json", settings=group.settings).stdout)
    assert (len(exact["keys"]), exact["complete"]) == (5, True)


@pytest.mark.asyncio
async def test_a_search_ends_in_time_where_the_server_does_not(here: Cli) -> None:
    async with EmbeddedSentinel(replicas=0, down_after=60) as group:
        writing = [f"key:{number}" for number in range(20_000)]
        for start in range(0, len(writing), 5000):
            pairs = [word for key in writing[start : start + 5000] for word in (key, "1")]
            await group.command(group.master, "MSET", *pairs)
        arguments = ("keys", "no:*", "--count", "1", "--seconds", "0.1", "--json")
        found = json.loads(here(*arguments, settings=group.settings).stdout)
        assert found == {"keys": [], "complete": False, "stopped_by": "seconds"}


def test_no_group_is_down_and_one_document(here: Cli) -> None:
    done = here("keys", "--json", "--url", "redis+sentinel://127.0.0.1:1/nobody")
    assert done.returncode == 2
    assert json.loads(done.stdout)["kind"] == "MasterUnknownError"
