from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.exceptions import ResponseError

from sahool_cache.connection.commit import Commit, Committer
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.request import Single
from sahool_cache.settings import Durability
from tests.unit.clock import settle, virtual
from tests.unit.wires import FakeWire, lane_on

WAIT = b"*3\r\n$4\r\nWAIT\r\n$1\r\n%d\r\n$3\r\n100\r\n"
ROLE = b"*1\r\n$4\r\nROLE\r\n"
NEW, OLD = b"*3\r\n+h\r\n+1\r\n+0\r\n", b"*3\r\n+h\r\n+2\r\n+700\r\n"
LISTED = {0: b"*1\r\n" + NEW, 2: b"*3\r\n" + OLD + NEW + OLD}


class Place:
    """
    A pool of one connection, and the committer that borrows it.
    """

    def __init__(self, role: str = "master") -> None:
        self.wire = FakeWire()
        self.lane: Lane | None = lane_on(self.wire, silence_limit=float("inf"))
        self.role = role
        self.spent = False
        self.lent = 0
        self.tasks: list[asyncio.Task[None]] = []
        self.committer = Committer(
            cast("ExclusivePool", self), timeout=0.1, patience=5.0, start=self.start
        )

    def start(self, run: Any) -> None:
        self.tasks.append(asyncio.create_task(run()))

    async def borrow(self) -> Place:
        self.lent += 1
        return self

    def give_back(self, _connection: Place) -> None:
        self.lent -= 1

    def cut(self) -> None:
        self.lane = None

    def write(self, *args: Any, need: Durability = 1) -> Commit:
        commit = Commit(Single(args), need)
        self.committer.submit(commit)
        return commit

    @property
    def written(self) -> bytes:
        return b"".join(self.wire.writes)


def role(replicas: int) -> bytes:
    return b"*3\r\n+master\r\n:7\r\n" + LISTED[replicas]


@virtual
async def test_the_writes_of_one_tick_share_one_wait() -> None:
    place = Place()
    commits = [place.write("SET", "k", n, need=n) for n in (1, 2)]
    await settle()
    assert place.written.count(b"SET") == 2
    assert place.written.endswith(WAIT % 2)
    place.wire.feed(b"+OK\r\n+OK\r\n:1\r\n")
    assert [await commit.done for commit in commits] == [b"OK", b"OK"]
    assert [(each.confirmed, each.wanted) for each in commits] == [(1, 1), (1, 2)]
    assert place.lent == 0, "an idle connection is handed back"


@virtual
async def test_what_is_written_while_one_wait_is_out_shares_the_next() -> None:
    place = Place()
    first = place.write("INCR", "a")
    await settle()
    later = [place.write("INCR", "b"), place.write("INCR", "c")]
    await settle()
    assert place.written.count(b"INCR") == 1
    assert not any(commit.sent for commit in later)
    place.wire.feed(b":1\r\n:2\r\n")
    await settle()
    assert place.written.count(b"INCR") == 3
    assert place.written.count(b"WAIT") == 2
    place.wire.feed(b":2\r\n:3\r\n:1\r\n")
    assert [await first.done, *[await each.done for each in later]] == [1, 2, 3]


@pytest.mark.parametrize("replicas", [0, 2])
def test_all_are_those_that_the_master_lists_and_at_least_one(replicas: int) -> None:
    @virtual
    async def scenario() -> None:
        place = Place()
        commit = place.write("SET", "k", "v", need="all")
        await settle()
        assert place.written.endswith(ROLE)
        place.wire.feed(b"+OK\r\n" + role(replicas))
        await settle()
        assert place.written.endswith(WAIT % max(1, replicas))
        place.wire.feed(b":%d\r\n" % replicas)
        await commit.done
        assert (commit.confirmed, commit.wanted) == (replicas, max(1, replicas))

    scenario()


@virtual
async def test_an_error_reply_is_its_callers_alone() -> None:
    place = Place()
    bad, good = place.write("LPUSH", "k", "v"), place.write("SET", "k", "v")
    await settle()
    place.wire.feed(b"-WRONGTYPE no list\r\n+OK\r\n:1\r\n")
    with pytest.raises(ResponseError, match="no list"):
        await bad.done
    assert await good.done == b"OK"


@virtual
async def test_a_lost_connection_tells_what_was_sent() -> None:
    place = Place()
    sent = place.write("INCR", "a")
    await settle()
    unsent = place.write("INCR", "b")
    place.wire.hang_up(None)
    for commit, expected in ((sent, True), (unsent, False)):
        with pytest.raises(LaneLost) as lost:
            await commit.done
        assert lost.value.sent is expected
    assert place.lent == 0


@virtual
async def test_a_wait_that_is_ended_or_never_answered_confirms_nothing() -> None:
    for ending in (b"-UNBLOCKED by somebody\r\n", b""):
        place = Place()
        commit = place.write("SET", "k", "v")
        await settle()
        place.wire.feed(b"+OK\r\n" + ending)
        assert await commit.done == b"OK"
        assert commit.confirmed is None
        assert place.wire.was_cut is (not ending)


@virtual
async def test_what_was_cancelled_before_it_was_sent_is_not_sent() -> None:
    place = Place()
    gone = place.write("SET", "gone", "v")
    gone.done.cancel()
    stays = place.write("SET", "stays", "v")
    await settle()
    assert b"gone" not in place.written
    gone_later = place.write("SET", "later", "v")
    place.wire.feed(b"+OK\r\n:1\r\n")
    assert await stays.done == b"OK"
    gone_later.done.cancel()
    await settle()
    place.wire.feed(b"+OK\r\n:1\r\n")
    await settle()
    assert place.lent == 0


@virtual
async def test_a_server_that_is_no_master_gets_no_write() -> None:
    place = Place(role="replica")
    commit = place.write("SET", "k", "v")
    with pytest.raises(LaneLost) as lost:
        await commit.done
    assert lost.value.sent is False
    assert place.written == b""


@virtual
async def test_closing_ends_what_waits() -> None:
    place = Place()
    sent = place.write("INCR", "a")
    await settle()
    unsent = place.write("INCR", "b")
    place.committer.release("retired")
    with pytest.raises(LaneLost) as lost:
        await unsent.done
    assert lost.value.sent is False
    place.tasks[0].cancel()
    with pytest.raises(LaneLost) as lost:
        await sent.done
    assert lost.value.sent is True
    assert sent.reply is not None
    assert sent.reply.cancelled(), "an error of it would be told to nobody"
