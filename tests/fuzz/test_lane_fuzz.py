"""
Whatever bytes a server sends into a lane: who waits gets the right reply, or a known error.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from sahool_cache.connection.entries import Flipped, Subscribed, Timed
from sahool_cache.connection.faults import Expired, LaneLost
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.sentinel import SentinelChannel
from tests.fuzz.garbage import BROKEN, BYTES, mutated
from tests.simulation.resp import encode, push
from tests.unit.clock import play, settle
from tests.unit.wires import FakeWire, lane_on

ASKED = 6
RIGHT = [b"$%d\r\n%b\r\n" % (len(text), text) for text in (b"reply %d" % n for n in range(ASKED))]
CUTS = st.lists(st.integers(1, 60), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """
    Those bytes as the network may deliver them.
    """
    found = []
    for cut in cuts:
        found.append(data[:cut])
        data = data[cut:]
    return [piece for piece in (*found, data) if piece]


async def feed(wire: FakeWire, data: bytes, cuts: list[int]) -> None:
    for piece in pieces(data, cuts):
        if not wire.was_cut:
            wire.feed(piece)
        await settle(2)


def ask(lane: Lane) -> list[asyncio.Future[Any]]:
    """
    Six questions of every kind: the futures of their replies.
    """
    flips = frozenset({1}) if lane.on_push is None else frozenset()
    kind: type[Timed] = Flipped if flips else Timed
    first, grouped = lane.submit(b"x"), lane.submit_group([b"x" * 3], 3, flips)
    return [first, grouped, lane.submit_as(b"x", kind), lane.submit(b"x")]


def outcome(future: asyncio.Future[Any]) -> str:
    """
    How it ended; an error of an unknown kind is no way to end.
    """
    assert future.done()
    error = future.exception()
    assert error is None or isinstance(error, LaneLost | Expired | RedisError | UnicodeDecodeError)
    return "reply" if error is None else type(error).__name__


def is_right(place: int, reply: Any) -> bool:
    return reply in (f"reply {place}", b"reply %d" % place)


BRIEFLY = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_no_reply_after_bytes_without_sense_is_taken_for_right() -> None:
    met: Counter[str] = Counter()

    @BRIEFLY
    @given(st.integers(0, ASKED), BROKEN, CUTS)
    def keep(right: int, broken: bytes, cuts: list[int]) -> None:
        async def scenario() -> None:
            wire = FakeWire()
            lane = lane_on(wire, decode=True)
            futures = ask(lane)
            await feed(wire, b"".join(RIGHT[:right]) + broken + b"".join(RIGHT[right:]), cuts)
            await asyncio.sleep(10)
            met.update(map(outcome, futures))
            assert lane.lost is not None or right == ASKED
            firsts = [0, 1, 4, 5]
            for future, first in zip(futures, firsts, strict=True):
                if future.exception() is None:
                    reply = future.result()
                    replies = reply if isinstance(reply, list) else [reply]
                    assert first + len(replies) <= right
                    assert all(is_right(first + n, each) for n, each in enumerate(replies))

        play(scenario())

    keep()
    assert met.keys() >= {"reply", "LaneLost"}


@BRIEFLY
@given(st.one_of(BYTES, st.lists(BYTES, max_size=4).map(b"".join), mutated(b"".join(RIGHT))), CUTS)
def test_any_bytes_end_every_wait_with_a_known_outcome(data: bytes, cuts: list[int]) -> None:
    async def scenario() -> None:
        for decode in (True, False):
            wire = FakeWire()
            lane = lane_on(wire, decode=decode)
            futures = ask(lane)
            await feed(wire, data, cuts)
            await asyncio.sleep(10)
            wire.hang_up(None)
            for future in futures:
                outcome(future)
            assert lane.in_flight == 0
            assert isinstance(lane.submit(b"x").exception(), LaneLost)

    play(scenario())


SUBSCRIBED = push(["psubscribe", "*", 1])
SAID = push(["pmessage", "*", "+sdown", "master m h 6379"])


@BRIEFLY
@given(
    st.one_of(
        mutated(SUBSCRIBED + SAID + encode("id") + SAID),
        st.lists(BYTES | st.sampled_from((SUBSCRIBED, SAID)), max_size=6).map(b"".join),
    ),
    CUTS,
)
def test_any_bytes_of_a_sentinel_leave_its_channel_usable_or_lost(
    data: bytes, cuts: list[int]
) -> None:
    async def scenario() -> None:
        wire = FakeWire()
        channel = SentinelChannel(wire, timeout=0.3)
        heard: list[tuple[str, str]] = []
        listening = asyncio.create_task(channel.listen(lambda *said: heard.append(said)))
        await settle()
        asking = asyncio.create_task(channel.ask((("SENTINEL", "MYID"),)))
        await settle()
        await feed(wire, data, cuts)
        await asyncio.sleep(10)
        wire.hang_up(None)
        await settle()
        outcomes = await asyncio.gather(listening, asking, return_exceptions=True)
        assert all(
            isinstance(each, LaneLost | Expired | RedisError | list | None) for each in outcomes
        )
        assert all(isinstance(word, str) for said in heard for word in said)

    play(scenario())


def test_a_sentinel_is_heard_between_its_replies() -> None:
    async def scenario() -> None:
        wire = FakeWire()
        heard: list[Any] = []
        lane = lane_on(wire, on_push=heard.append)
        confirmed = lane.submit_as(b"x", Subscribed)
        await feed(wire, SUBSCRIBED + SAID, [5, 20])
        assert (await confirmed, heard) == (
            None,
            [[b"pmessage", b"*", b"+sdown", b"master m h 6379"]],
        )

    play(scenario())


@pytest.mark.parametrize("size", [b"*4294967295\r\n", b"$4294967295\r\n", b"%10000000\r\n"])
def test_a_reply_that_claims_to_be_huge_costs_the_connection_at_most(size: bytes) -> None:
    async def scenario() -> None:
        wire = FakeWire()
        future = lane_on(wire).submit(b"x")
        await feed(wire, size + b":1\r\n", [])
        await asyncio.sleep(10)
        assert isinstance(future.exception(), LaneLost | Expired)

    play(scenario())


@pytest.mark.parametrize("data", [b":1\r\n", b"*0\r\n", b"-ERR x\r\n", b"_\r\n"])
def test_a_reply_that_nobody_asked_for_costs_the_connection(data: bytes) -> None:
    async def scenario() -> None:
        wire = FakeWire()
        lane = lane_on(wire, decode=True)
        futures = ask(lane)
        await feed(wire, b"".join(RIGHT), [])
        assert (set(map(outcome, futures)), lane.lost) == ({"reply"}, None)
        await feed(wire, data, [])
        assert lane.lost is not None

    play(scenario())
