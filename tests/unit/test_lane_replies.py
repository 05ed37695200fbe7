from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import ReadOnlyError, ResponseError

from sahool_cache.connection.entries import Flipped, Subscribed, Timed
from sahool_cache.connection.faults import LaneLost
from tests.unit.clock import VirtualLoop, settle, virtual
from tests.unit.wires import FakeWire, lane_on

UNREADABLE = b"$2\r\n\xc3\x28\r\n"


@virtual
async def test_a_reply_may_come_byte_by_byte() -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    one, other = lane.submit(b"A"), lane.submit_as(b"B", Flipped)
    for byte in b"*2\r\n$2\r\nab\r\n:7\r\n%1\r\n$1\r\nk\r\n$1\r\nv\r\n":
        wire.feed(bytes([byte]))
    assert await one == ["ab", 7]
    assert await other == {b"k": b"v"}


@pytest.mark.parametrize("cut", [1, 6, 8, 9])
@virtual
async def test_an_undecodable_reply_goes_to_its_owner_only(cut: int) -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    first, bad, last = lane.submit(b"A"), lane.submit(b"B"), lane.submit(b"C")
    spoken = b"+one\r\n" + UNREADABLE + b"+three\r\n"
    wire.feed(spoken[: 6 + cut])
    wire.feed(spoken[6 + cut :])
    assert (await first, await last) == ("one", "three")
    with pytest.raises(UnicodeDecodeError):
        await bad
    assert lane.lost is None


@virtual
async def test_an_undecodable_element_spoils_its_own_array_only() -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    bad, last = lane.submit(b"A"), lane.submit(b"B")
    wire.feed(b"*3\r\n$1\r\na\r\n" + UNREADABLE)
    wire.feed(b"$1\r\nc\r\n+fine\r\n")
    assert await last == "fine"
    with pytest.raises(UnicodeDecodeError):
        await bad


@virtual
async def test_an_undecodable_reply_is_one_place_among_a_groups_replies() -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    group, after = lane.submit_group([b"ABC"], 3), lane.submit(b"D")
    wire.feed(b"+a\r\n" + UNREADABLE + b"+c\r\n+d\r\n")
    replies = await group
    assert (replies[0], replies[2], await after) == ("a", "c", "d")
    assert isinstance(replies[1], UnicodeDecodeError)


BINARY_PUSH = b">2\r\n+invalidate\r\n*1\r\n" + UNREADABLE


@virtual
async def test_a_lane_that_listens_takes_bytes() -> None:
    with pytest.raises(ValueError, match="bytes"):
        lane_on(FakeWire(), decode=True, on_push=print)


@virtual
async def test_a_lane_that_listens_decodes_no_reply_either() -> None:
    wire = FakeWire()
    lane = lane_on(wire, on_push=print)
    with pytest.raises(ValueError, match="bytes"):
        lane.submit_as(b"A", Flipped)
    with pytest.raises(ValueError, match="bytes"):
        lane.submit_group([b"A"], 1, frozenset({0}))
    assert (wire.writes, lane.in_flight) == ([], 0)


@virtual
async def test_a_push_that_is_no_text_is_nobodys_reply() -> None:
    wire, heard = FakeWire(), list[Any]()
    lane = lane_on(wire, on_push=heard.append)
    wire.feed(BINARY_PUSH)
    one, other = lane.submit(b"A"), lane.submit_as(b"B", Timed)
    wire.feed(BINARY_PUSH + b"+one\r\n+two\r\n")
    assert [await one, await other] == [b"one", b"two"]
    assert heard == [[b"invalidate", [b"\xc3\x28"]]] * 2


@virtual
async def test_an_error_reply_is_redis_pys_exception_for_its_caller_only() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    futures = [lane.submit(letter) for letter in (b"A", b"B", b"C")]
    wire.feed(b":1\r\n-READONLY You can't write against a read only replica.\r\n:3\r\n")
    assert (await futures[0], await futures[2]) == (1, 3)
    with pytest.raises(ReadOnlyError, match="You can't write"):
        await futures[1]


@pytest.mark.parametrize(
    "said", [b"-\r\n", b"-MOVED\r\n", b"-ASK 1 nowhere\r\n", b"-MOVED x h:1\r\n", b"-\xff\xfe\r\n"]
)
@virtual
async def test_an_odd_error_text_is_still_an_error_reply(said: bytes) -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    odd, after = lane.submit(b"A"), lane.submit(b"B")
    wire.feed(said + b"+fine\r\n")
    assert await after == "fine"
    with pytest.raises((ResponseError, UnicodeDecodeError)):
        await odd


@virtual
async def test_an_error_within_an_array_is_an_element_of_it() -> None:
    wire = FakeWire()
    future = lane_on(wire, decode=True).submit(b"EXEC")
    wire.feed(b"*3\r\n+OK\r\n-WRONGTYPE not a list\r\n*1\r\n-READONLY no\r\n")
    ok, wrong, nested = await future
    assert ok == "OK"
    assert isinstance(wrong, ResponseError)
    assert isinstance(nested[0], ReadOnlyError)


@virtual
async def test_pushes_reach_the_listener_wherever_they_come() -> None:
    wire, heard = FakeWire(), list[Any]()
    lane = lane_on(wire, on_push=heard.append)
    push = b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n"
    wire.feed(push)
    one, group = lane.submit(b"A"), lane.submit_group([b"BC"], 2)
    wire.feed(push + b":1\r\n" + push + b":2\r\n" + push + b":3\r\n" + push)
    assert (await one, await group) == (1, [2, 3])
    assert heard == [[b"invalidate", [b"k"]]] * 5


@virtual
async def test_pushes_without_a_listener_are_nobodys_reply() -> None:
    wire = FakeWire()
    future = lane_on(wire).submit(b"A")
    wire.feed(b">2\r\n+x\r\n+y\r\n:1\r\n")
    assert await future == 1


@virtual
async def test_a_listener_that_fails_takes_no_connection_down() -> None:
    wire = FakeWire()
    lane = lane_on(wire, on_push=lambda _message: 1 / 0)
    future = lane.submit(b"A")
    wire.feed(b">1\r\n+x\r\n:1\r\n")
    assert await future == 1
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    assert isinstance(loop.complaints.pop()["exception"], ZeroDivisionError)


@virtual
async def test_a_subscription_is_confirmed_by_its_push() -> None:
    wire, heard = FakeWire(), list[Any]()
    lane = lane_on(wire, on_push=heard.append)
    before = lane.submit(b"A")
    confirmed = lane.submit_as(b"PSUBSCRIBE *", Subscribed)
    after = lane.submit(b"B")
    wire.feed(b":1\r\n>4\r\n+pmessage\r\n+*\r\n+c\r\n+early\r\n")
    assert not confirmed.done()
    wire.feed(b">3\r\n+psubscribe\r\n+*\r\n:1\r\n:2\r\n>4\r\n+pmessage\r\n+*\r\n+c\r\n+late\r\n")
    assert (await before, await confirmed, await after) == (1, None, 2)
    assert [message[-1] for message in heard] == [b"early", b"late"]


@virtual
async def test_a_subscription_may_be_refused() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    confirmed = lane.submit_as(b"PSUBSCRIBE *", Subscribed)
    wire.feed(b"-NOPERM no\r\n")
    with pytest.raises(ResponseError):
        await confirmed
    assert lane.lost is None


@virtual
async def test_a_reply_that_nobody_asked_for_ends_the_lane() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    future = lane.submit(b"A")
    wire.feed(b":1\r\n:2\r\n")
    assert await future == 1
    assert lane.lost is not None
    assert wire.was_cut


@virtual
async def test_a_broken_protocol_fails_everybody_who_waits() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    fine, *others = (lane.submit(letter) for letter in (b"A", b"B", b"C"))
    group = lane.submit_group([b"DE"], 2)
    await settle()
    wire.feed(b":1\r\n?broken\r\n:3\r\n")
    assert await fine == 1
    faults = await asyncio.gather(*others, group, return_exceptions=True)
    assert [isinstance(fault, LaneLost) and fault.sent for fault in faults] == [True] * 3
    assert wire.was_cut


@pytest.mark.parametrize("asked", ["plain", "group", "subscribed", "group, subscribed", "nothing"])
@virtual
async def test_a_listener_that_ends_the_lane_leaves_nobody_waiting(asked: str) -> None:
    wire, heard = FakeWire(), list[Any]()

    def hear(message: list[Any]) -> None:
        heard.append(message)
        lane.abort("the listener has had enough")
        refused.append(lane.submit(b"too late"))

    lane = lane_on(wire, on_push=hear)
    refused: list[asyncio.Future[Any]] = []
    waiting: list[asyncio.Future[Any]] = []
    if "plain" in asked:
        waiting += [lane.submit(b"A"), lane.submit(b"B")]
    if "group" in asked:
        waiting += [lane.submit_group([b"ABC"], 3)]
    if "subscribed" in asked:
        waiting += [lane.submit_as(b"S", Subscribed), lane.submit(b"A")]
    wire.feed((b"+one\r\n" if waiting else b"") + b">1\r\n+push\r\n+two\r\n+three\r\n+four\r\n")
    faults = await asyncio.gather(*waiting, *refused, return_exceptions=True)
    ended = [fault for fault in faults if isinstance(fault, LaneLost)]
    answered = asked in ("plain", "subscribed")  # the first of them had its reply
    assert len(ended) == len(faults) - answered
    assert [fault.sent for fault in ended][-1] is False
    assert (heard, lane.in_flight) == ([[b"push"]], 0)


@virtual
async def test_a_listener_may_ask_in_the_middle_of_what_is_read() -> None:
    wire = FakeWire()
    asked: list[asyncio.Future[Any]] = []

    def hear(_message: list[Any]) -> None:
        asked.extend((lane.submit_group([b"DE"], 2), lane.submit(b"F")))

    lane = lane_on(wire, on_push=hear)
    plain, group = lane.submit(b"A"), lane.submit_group([b"BC"], 2)
    wire.feed(b">1\r\n+x\r\n:1\r\n:2\r\n>1\r\n+x\r\n:3\r\n")
    wire.feed(b":4\r\n:5\r\n:6\r\n>1\r\n+x\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n:12\r\n")
    assert (await plain, await group) == (1, [2, 3])
    assert await asyncio.gather(*asked) == [[4, 5], 6, [7, 8], 9, [10, 11], 12]
    assert (lane.in_flight, lane.answered) == (0, 8)
