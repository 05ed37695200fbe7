"""
One server as a source, on virtual time: what is kept, what is trusted, and who waits for what.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from sahool_cache.near_cache import ELSEWHERE
from sahool_cache.policy.deadline import Deadline
from tests.near_cache.fleet import MASTER, OTHER, Fleet, near_cache, read
from tests.near_cache.tracked import Server
from tests.unit.clock import settle, virtual

SET = ("SET", "k", "v")


def asked(server: Server, name: bytes) -> int:
    return sum(command[0] == name for command in server.asked)


async def connected(server: Server, count: int = 1) -> None:
    while sum(link.tracks for link in server.links) < count:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.005)


@virtual
async def test_a_reply_is_kept_until_the_server_says_that_it_has_changed() -> None:
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        assert [await read(near, "GET", "k") for _ in range(3)] == ["1"] * 3
        assert asked(server, b"GET") == 1
        server.change(b"k", "2")
        await asyncio.sleep(0.001)
        assert await read(near, "GET", "k") == "2"
        stats = near.stats()
        assert (stats.hits, stats.misses, stats.invalidations, stats.entries) == (2, 2, 1, 1)


@virtual
async def test_an_absent_key_is_kept_as_such_until_it_appears() -> None:
    server = Server()
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        assert [await read(near, "GET", "k") for _ in range(3)] == [None] * 3
        assert asked(server, b"GET") == 1
        server.change(b"k", "1")
        await asyncio.sleep(0.001)
        assert await read(near, "GET", "k") == "1"


@virtual
async def test_a_reply_that_is_overtaken_by_its_invalidation_is_not_kept() -> None:
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        asking = asyncio.ensure_future(read(near, "GET", "k"))
        await asyncio.sleep(0.0006)  # it was answered, and the reply is under way
        assert asked(server, b"GET") == 1
        server.change(b"k", "2")
        assert await asking == "1"
        await asyncio.sleep(0.001)
        assert near.stats().entries == 0
        assert await read(near, "GET", "k") == "2"


@virtual
async def test_a_key_that_lapses_between_its_time_to_live_and_its_value_is_not_kept_as_it_was() -> (
    None
):
    server = Server()
    server.change(b"k", "1", lives=0.05)
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        for _ in range(100):
            now = server.loop.time()
            value = await read(near, "GET", "k")
            assert value is None or now < server.changes[b"k"][0].ends
            await asyncio.sleep(0.001)
        server.expire()
        assert await read(near, "GET", "k") is None


@virtual
async def test_a_server_that_only_hides_a_lapsed_key_gives_no_value_without_end() -> None:
    """
    A replica, or a master whose writes are paused, answers PTTL with -2 and removes nothing.
    """
    random = Random(1)
    server = Server()
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        server.delay = lambda: 0.02 * random.random()  # so that the two questions come apart
        for wait in range(60):
            server.change(b"k", "1", lives=0.03)
            await asyncio.sleep(wait / 2000)
            await read(near, "GET", "k")
            await asyncio.sleep(0.03)
            assert await read(near, "GET", "k") is None


@virtual
async def test_who_asks_meanwhile_shares_the_reply_and_may_go_away() -> None:
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        asking = [asyncio.ensure_future(read(near, "GET", "k")) for _ in range(10)]
        await settle(3)
        asking[0].cancel()
        asking[5].cancel()
        replies = await asyncio.gather(*asking, return_exceptions=True)
        assert [reply for reply in replies if reply == "1"] == ["1"] * 8
        assert asked(server, b"GET") == 1


@virtual
async def test_nobody_joins_a_question_that_is_older_than_the_bound() -> None:
    """
    Its reply may have been true at its beginning only: it is a long time under way.
    """
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server}), quiet_after=4.0, max_staleness=0.5) as near:
        await connected(server)
        (link,) = server.links
        link._here = server.loop.time() + 0.6
        first = asyncio.ensure_future(read(near, "GET", "k"))
        await asyncio.sleep(0.01)
        server.change(b"k", "2")
        await asyncio.sleep(0.54)
        late = asyncio.ensure_future(read(near, "GET", "k"))
        assert await first == "1"
        assert await late == "2"


@virtual
async def test_a_lost_connection_empties_the_shelf_and_another_fills_it_again() -> None:
    server = Server()
    server.change(b"k", "1")
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        await connected(server)
        await read(near, "GET", "k")
        server.links[0].lose()
        server.change(b"k", "2")  # nobody is told
        assert near.stats().entries == 0
        assert await read(near, "GET", "k") is ELSEWHERE
        assert [event.why for event in fleet.told] == ["the connection was lost"]
        await connected(server)
        assert await read(near, "GET", "k") == "2"
        assert near.stats().flushes == 1


@virtual
async def test_who_waits_when_the_connection_is_lost_asks_elsewhere() -> None:
    server = Server()
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        asking = [asyncio.ensure_future(read(near, "GET", "k")) for _ in range(3)]
        await settle(3)
        server.links[0].lose()
        assert await asyncio.gather(*asking) == [ELSEWHERE] * 3
        assert near.stats().entries == 0


@virtual
async def test_a_silent_server_is_not_trusted_for_longer_than_the_bound() -> None:
    server = Server()
    server.change(b"k", "1")
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet, max_staleness=0.5) as near:
        await connected(server)
        await read(near, "GET", "k")
        server.links[0].silent = True
        changed = server.change(b"k", "2")
        while await read(near, "GET", "k") == "1":
            assert server.loop.time() - changed.at < 0.5
            await asyncio.sleep(0.01)
        while len(server.links) == 1 and server.links[0].silent:
            assert server.loop.time() - changed.at < 1.5
            await read(near, "GET", "k")
            await asyncio.sleep(0.05)
        assert [event.why for event in fleet.told] == ["a ping went unanswered"]


@virtual
async def test_a_short_silence_costs_nothing_of_what_is_kept() -> None:
    """
    A slow command of somebody else's is no lost connection: quiet is not gone.
    """
    server = Server()
    server.change(b"k", "1")
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet, quiet_after=0.05, max_staleness=0.8) as near:
        await connected(server)
        await read(near, "GET", "k")
        (link,) = server.links
        for _ in range(4):
            link._there = server.loop.time() + 0.6
            for _ in range(60):
                await read(near, "GET", "k")
                await asyncio.sleep(0.01)
        for _ in range(200):
            await read(near, "GET", "k")
            await asyncio.sleep(0.01)
        assert fleet.told == []
        assert server.links == [link]


@virtual
async def test_a_cache_that_nobody_reads_says_nothing() -> None:
    server = Server()
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        await read(near, "GET", "k")
        await asyncio.sleep(2.0)
        pings = asked(server, b"PING")
        await asyncio.sleep(20.0)
        assert asked(server, b"PING") == pings <= 2
        assert await read(near, "GET", "k") is None  # trusted again by the reply itself
        assert near.stats().entries == 1


@virtual
async def test_a_loop_that_stalls_trusts_nothing_that_it_has_not_heard() -> None:
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server}), max_staleness=0.05) as near:
        await connected(server)
        for number in range(2, 12):
            await read(near, "GET", "k")
            server.change(b"k", str(number))
            asyncio.get_running_loop()._jumping.now += 0.2  # type: ignore[attr-defined]
            assert await read(near, "GET", "k") in (str(number), ELSEWHERE)


@virtual
async def test_a_write_of_our_own_is_read_whatever_is_kept_or_under_way() -> None:
    server = Server()
    server.change(b"k", "0")
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        for number in range(1, 50):
            early = asyncio.ensure_future(read(near, "GET", "k"))
            await asyncio.sleep(number / 25_000)
            server.change(b"k", str(number))
            near.wrote([("SET", b"k", str(number))])
            assert await read(near, "GET", "k") == str(number)
            await early
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("command", "doubted"),
    [
        (("EVAL", "redis.call('set', 'k', '2')", 0), True),
        ((b"EVALSHA", "sha", b"0"), True),
        (("FCALL", "f", "0", "x"), True),
        (("EVAL", "...", 1, "other"), False),
        (("EXEC",), True),
        (("MOD.WRITE", "other"), True),
        (("XGROUP", "CREATE", "other", "g", "$"), False),
        (("SET", "other", "k2"), False),
    ],
)
def test_a_write_that_does_not_name_its_keys_is_read(
    command: tuple[Any, ...], doubted: bool
) -> None:
    @virtual
    async def scenario() -> None:
        server = Server()
        server.change(b"k", "1")
        async with near_cache(Fleet({MASTER: server})) as near:
            await connected(server)
            await read(near, "GET", "k")
            before = asked(server, b"GET")
            near.wrote([command])
            if not doubted:
                assert await read(near, "GET", "k") == "1"
                assert asked(server, b"GET") == before
                return
            server.change(b"k", "2")  # the server has not told us yet
            assert await read(near, "GET", "k") == "2"
            await asyncio.sleep(0.002)
            assert await read(near, "GET", "k") == "2"
            near.wrote([command])
            await asyncio.sleep(0.002)
            before = asked(server, b"GET")
            assert await read(near, "GET", "k") == "2"
            assert asked(server, b"GET") == before, "kept meanwhile, and trusted again"

    scenario()


@pytest.mark.parametrize("command", ["FLUSHALL", b"flushdb", "SWAPDB"])
def test_emptying_the_server_ourselves_empties_the_shelf(command: Any) -> None:
    @virtual
    async def scenario() -> None:
        server = Server()
        server.change(b"k", "1")
        async with near_cache(Fleet({MASTER: server})) as near:
            await connected(server)
            await read(near, "GET", "k")
            near.wrote([(command,)])
            assert near.stats().entries == 0

    scenario()


@virtual
async def test_a_server_that_is_emptied_says_so() -> None:
    server = Server()
    server.change(b"k", "1")
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        await read(near, "GET", "k")
        server.flush()
        await asyncio.sleep(0.001)
        assert near.stats().entries == 0
        assert await read(near, "GET", "k") is None


@virtual
async def test_without_the_right_to_track_nothing_is_kept_and_it_is_told() -> None:
    server = Server()
    server.refused[b"CLIENT"] = "NOPERM this user has no permissions to run 'client|tracking'"
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        await asyncio.sleep(2.0)
        assert await read(near, "GET", "k") is ELSEWHERE
        assert fleet.missing == ["CLIENT TRACKING"]
        assert server.links == []


@virtual
async def test_without_the_right_to_ask_for_times_to_live_replies_are_used_and_not_kept() -> None:
    server = Server()
    server.change(b"k", "1")
    server.refused[b"PTTL"] = "NOPERM this user has no permissions to run 'pttl'"
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        await connected(server)
        assert await read(near, "GET", "k") == "1"
        assert near.stats().entries == 0
        assert await read(near, "GET", "k") is ELSEWHERE
        assert fleet.missing == ["PTTL"]


@virtual
async def test_a_server_that_is_busy_with_a_script_is_asked_again_to_track() -> None:
    server = Server()
    server.change(b"k", "1")
    server.refused[b"CLIENT"] = "BUSY Redis is busy running a script."
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        for _ in range(20):
            await read(near, "GET", "k")
            await asyncio.sleep(0.05)
        assert near.stats().entries == 0, "it was not tracked"
        assert len(server.links) == 1, "and needs no new connection"
        assert asked(server, b"CLIENT") < 10
        server.refused.clear()
        await connected(server)
        await asyncio.sleep(0.3)
        await read(near, "GET", "k")
        assert near.stats().entries == 1
        assert fleet.missing == []


@virtual
async def test_a_long_bound_makes_nobody_wait_for_what_is_asked_again() -> None:
    server = Server()
    server.refused[b"CLIENT"] = "BUSY Redis is busy running a script."
    async with near_cache(Fleet({MASTER: server}), max_staleness=3600.0) as near:
        await asyncio.sleep(0.1)
        server.refused.clear()
        await asyncio.sleep(0.5)
        assert await read(near, "GET", "k") is None
        assert near.stats().entries == 1


@virtual
async def test_an_error_reply_is_for_the_usual_way() -> None:
    server = Server()
    server.refused[b"GET"] = "WRONGTYPE Operation against a key holding the wrong kind of value"
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        assert await read(near, "GET", "k") is ELSEWHERE
        assert near.stats().entries == 0


@virtual
async def test_a_reply_that_makes_no_sense_leaves_nobody_waiting() -> None:
    server = Server()
    server.change(b"k", "1")
    answer = server.answer
    server.answer = (  # type: ignore[method-assign]
        lambda link, command: b"$1\r\nx\r\n" if command[0] == b"PTTL" else answer(link, command)
    )
    loop: Any = asyncio.get_running_loop()
    async with near_cache(Fleet({MASTER: server})) as near:
        await connected(server)
        began = server.loop.time()
        assert await read(near, "GET", "k") in ("1", ELSEWHERE)
        assert server.loop.time() - began < 0.1
        assert near.stats().entries == 0
    assert len(loop.complaints) == 1
    loop.complaints.clear()


@virtual
async def test_a_slow_reply_ends_with_the_budget_of_the_call() -> None:
    server = Server()
    async with near_cache(Fleet({MASTER: server}), quiet_after=4.0) as near:
        await connected(server)
        server.links[0]._there = server.loop.time() + 3.0
        began = server.loop.time()
        assert await read(near, "GET", "k", timeout=0.2) is ELSEWHERE
        assert 0.19 < server.loop.time() - began < 0.25


@virtual
async def test_a_change_of_master_or_epoch_forgets_everything() -> None:
    old, new = Server(), Server()
    old.change(b"k", "old")
    new.change(b"k", "new")
    fleet = Fleet({MASTER: old, OTHER: new})
    async with near_cache(fleet) as near:
        await connected(old)
        assert await read(near, "GET", "k") == "old"
        fleet.switch(fleet.topology.promoted(OTHER))
        assert await read(near, "GET", "k") is ELSEWHERE
        await connected(new)
        assert await read(near, "GET", "k") == "new"
        assert old.links == []
        fleet.switch(fleet.topology.__class__(master=OTHER, epoch=2))
        assert near.stats().entries == 0
        assert near.stats().flushes == 2


@virtual
async def test_a_fenced_master_is_not_asked() -> None:
    server = Server()
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        await connected(server)
        await read(near, "GET", "k")
        fleet.switch(fleet.topology, fenced=True)
        assert await read(near, "GET", "k") is ELSEWHERE
        fleet.switch(fleet.topology, fenced=False)
        await connected(server)
        assert await read(near, "GET", "k") is None


@virtual
async def test_a_server_of_another_role_is_not_believed() -> None:
    server = Server()
    server.role = "replica"
    async with near_cache(Fleet({MASTER: server})) as near:
        await asyncio.sleep(1.0)
        assert await read(near, "GET", "k") is ELSEWHERE
        assert asked(server, b"CLIENT") == 0
        server.role = "master"
        await connected(server)
        assert await read(near, "GET", "k") is None


@virtual
async def test_each_replica_in_rotation_is_asked_for_its_share_once_somebody_wants_replicas() -> (
    None
):
    servers = {MASTER: Server(), OTHER: Server()}
    servers[OTHER].role = "replica"
    fleet = Fleet(servers)
    async with near_cache(fleet) as near:
        fleet.switch(fleet.topology.__class__(master=MASTER, epoch=1, in_rotation=(OTHER,)))
        await connected(servers[MASTER])
        assert servers[OTHER].links == []
        assert await read(near, "EXISTS", "k", read_from="replica") is ELSEWHERE
        await connected(servers[OTHER])
        servers[OTHER].change(b"k", "r")
        assert await near.read(("GET", "k"), "replica", Deadline(1.0)) == "r"
        fleet.switch(fleet.topology.__class__(master=MASTER, epoch=1, in_rotation=()))
        assert await near.read(("GET", "k"), "replica", Deadline(1.0)) is ELSEWHERE
        assert await near.read(("GET", "k"), "replica_preferred", Deadline(1.0)) is None
        await settle()
        assert servers[OTHER].links == []
        assert near.stats().invalidations == 0


@virtual
async def test_nothing_is_left_of_a_source_that_is_closed_before_it_ran() -> None:
    server = Server()
    fleet = Fleet({MASTER: server})
    async with near_cache(fleet) as near:
        fleet.switch(fleet.topology.__class__())
        await settle()
        assert all(task.done() for task in fleet.tasks)
        assert near.master is None
    assert server.links == []
