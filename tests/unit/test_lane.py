from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import DataError

from sahool_cache.commands import SPECS
from sahool_cache.connection.entries import Flipped
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.lane import BULKY, HIGH_WATER, LONG, SWEEP, Lane
from sahool_cache.connection.request import Batch, Single
from tests.unit.clock import VirtualLoop, settle, virtual
from tests.unit.wires import FakeTransport, FakeWire, lane_on


@virtual
async def test_replies_go_out_in_the_order_of_the_commands() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    futures = [lane.submit(b"%d" % number) for number in range(5)]
    await settle()
    wire.feed(b":0\r\n:1\r\n:2\r\n")
    wire.feed(b":3\r\n:4\r\n")
    assert await asyncio.gather(*futures) == [0, 1, 2, 3, 4]
    assert (lane.in_flight, lane.answered) == (0, 5)


@virtual
async def test_an_idle_lane_writes_before_the_call_returns() -> None:
    wire = FakeWire()
    first = lane_on(wire).submit(b"A")
    assert wire.writes == [b"A"]
    wire.feed(b"+OK\r\n")
    assert await first == b"OK"


@virtual
async def test_what_is_said_in_one_tick_shares_one_write() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    futures = [lane.submit(letter) for letter in (b"A", b"B", b"C")]
    assert wire.writes == [b"A"]
    await settle(1)
    assert wire.writes == [b"A", b"BC"]
    futures.append(lane.submit(b"D"))
    await settle(1)
    assert wire.writes == [b"A", b"BC", b"D"]
    wire.feed(b":1\r\n:2\r\n:3\r\n:4\r\n")
    assert await asyncio.gather(*futures) == [1, 2, 3, 4]


@virtual
async def test_callers_in_step_share_one_write_from_the_first_command_on() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    first = [lane.submit(b"A"), lane.submit(b"B")]
    await settle(1)
    wire.feed(b":1\r\n:2\r\n")
    assert lane.burst == 2
    second = [lane.submit(b"C"), lane.submit(b"D")]
    await settle(1)
    assert wire.writes == [b"A", b"B", b"CD"]
    wire.feed(b":3\r\n")
    wire.feed(b":4\r\n")
    assert await asyncio.gather(*first, *second) == [1, 2, 3, 4]
    assert lane.burst == 1
    third = lane.submit(b"E")
    assert wire.writes[-1] == b"E"
    wire.feed(b":5\r\n")
    assert await third == 5


@virtual
async def test_a_group_is_written_at_once_behind_what_was_said_before() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    before = [lane.submit(b"A"), lane.submit(b"B")]
    group = lane.submit_group([b"CD", b"E"], 3)
    after = lane.submit(b"F")
    await settle(1)
    assert wire.writes == [b"A", b"B", b"CD", b"E", b"F"]
    wire.feed(b":1\r\n:2\r\n:3\r\n-ERR no\r\n")
    assert not group.done()
    wire.feed(b":5\r\n:6\r\n")
    replies = await group
    assert [replies[0], str(replies[1]), replies[2]] == [3, "no", 5]
    assert await asyncio.gather(*before, after) == [1, 2, 6]


@virtual
async def test_an_empty_tick_writes_nothing() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    futures = [lane.submit(b"A"), lane.submit(b"B"), lane.submit_group([b"C"], 1)]
    await settle(2)
    assert wire.writes == [b"A", b"B", b"C"]
    wire.feed(b":1\r\n:2\r\n:3\r\n")
    assert await asyncio.gather(*futures) == [1, 2, [3]]


@virtual
async def test_flipped_replies_are_decoded_the_other_way() -> None:
    for decode, plain, flipped in ((True, "v", b"v"), (False, b"v", "v")):
        wire = FakeWire()
        lane = lane_on(wire, decode=decode)
        one, other, third = lane.submit(b"A"), lane.submit_as(b"B", Flipped), lane.submit(b"C")
        group = lane.submit_group([b"DE"], 2, frozenset({1}))
        wire.feed(b"$1\r\nv\r\n" * 5)
        assert [await one, await other, await third] == [plain, flipped, plain]
        assert await group == [plain, flipped]


@virtual
async def test_a_bad_argument_leaves_neither_bytes_nor_a_place_in_the_queue() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    first = lane.submit(b"A")
    with pytest.raises(DataError):
        Single(("SET", "k", None)).submit(lane)
    with pytest.raises(DataError):
        Batch(
            [("SET", "k", "v"), ("SET", "k", {})],
            specs=[SPECS["SET"]],
            transaction=False,
            repeatable=lambda: True,
        ).submit(lane)
    second = lane.submit(b"B")
    await settle()
    assert (wire.writes, lane.in_flight) == ([b"A", b"B"], 2)
    wire.feed(b":1\r\n:2\r\n")
    assert [await first, await second] == [1, 2]


@virtual
async def test_a_cancelled_caller_keeps_its_place_so_that_nobody_gets_its_reply() -> None:
    wire = FakeWire()
    lane = lane_on(wire)

    async def call(packed: bytes) -> object:
        return await lane.submit(packed)

    tasks = [asyncio.create_task(call(letter)) for letter in (b"A", b"B", b"C")]
    await settle()
    tasks[1].cancel()
    await settle()
    assert lane.in_flight == 3
    wire.feed(b":1\r\n:2\r\n:3\r\n")
    assert (await tasks[0], await tasks[2]) == (1, 3)
    assert tasks[1].cancelled()


@virtual
async def test_a_cancelled_group_swallows_all_its_replies() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    group, after = lane.submit_group([b"ABC"], 3), lane.submit(b"D")
    group.cancel()
    wire.feed(b":1\r\n:2\r\n-ERR x\r\n:4\r\n")
    assert await after == 4


@virtual
async def test_a_command_is_sent_even_when_its_caller_goes_in_the_same_tick() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    first, second = lane.submit(b"A"), lane.submit(b"B")
    second.cancel()
    await settle()
    assert wire.writes == [b"A", b"B"]
    wire.feed(b":1\r\n:2\r\n")
    assert (await first, lane.in_flight) == (1, 0)


@virtual
async def test_a_lane_knows_whom_it_reached() -> None:
    lane = lane_on(FakeWire(role="replica", client_id=42))
    assert (lane.role, lane.client_id) == ("replica", 42)


@virtual
async def test_a_lane_is_congested_above_its_limit_and_usable_again_below() -> None:
    wire, changes = FakeWire(), list[bool]()
    lane = lane_on(wire, limit=3, on_change=lambda lane: changes.append(lane.usable))
    futures = [lane.submit(b"A") for _ in range(4)]
    await settle()
    assert (changes, lane.usable) == ([False], False)
    wire.feed(b"+OK\r\n" * 4)
    await asyncio.gather(*futures)
    await asyncio.sleep(2 * SWEEP)
    assert (changes, lane.usable) == ([False, True], True)


@virtual
async def test_a_lane_is_congested_while_too_many_bytes_wait_to_be_sent() -> None:
    wire = FakeWire()
    lane = lane_on(wire, quiet_after=9.0)
    wire.transport.backlog = HIGH_WATER + 1
    group = lane.submit_group([b"A"], 1)
    assert lane.congested
    wire.transport.backlog = 0
    await asyncio.sleep(2 * SWEEP)
    assert not lane.congested
    wire.feed(b":1\r\n")
    assert await group == [1]


@virtual
async def test_a_congested_lane_still_answers_what_it_was_given() -> None:
    wire = FakeWire()
    lane = lane_on(wire, limit=1)
    futures = [lane.submit(b"%d" % n) for n in range(3)]
    await settle()
    assert lane.congested
    futures.append(lane.submit(b"3"))
    await settle()
    wire.feed(b"".join(b":%d\r\n" % n for n in range(4)))
    assert await asyncio.gather(*futures) == [0, 1, 2, 3]


@virtual
async def test_a_private_lane_never_sweeps() -> None:
    forever, wire = float("inf"), FakeWire()
    lane: Lane = lane_on(wire, budget=forever, quiet_after=forever, silence_limit=forever)
    future = lane.submit(b"BLPOP")
    await asyncio.sleep(10_000)
    assert not lane.quiet
    wire.feed(b"_\r\n")
    assert await future is None
    cut = lane.submit(b"BLPOP")
    lane.abort("gone")
    with pytest.raises(Exception, match="gone"):
        await cut


@pytest.mark.parametrize("size", [1, BULKY])
def test_what_was_submitted_outside_of_the_loop_is_taken_back_unwritten(size: int) -> None:
    wire, loop, foreign = FakeWire(), VirtualLoop(), b"F" * size

    async def begin_a_tick() -> tuple[Lane, list[asyncio.Future[Any]]]:
        lane = lane_on(wire)
        return lane, [lane.submit(letter) for letter in (b"A", b"B", b"C")]

    lane, futures = loop.run_until_complete(begin_a_tick())
    lane.gathering = True  # the loop stopped before the tick was over
    strangers = [lane.submit(foreign), lane.submit(b"G")]
    written = list(wire.writes)
    for stranger in strangers:
        lane.take_back(stranger)
    assert (wire.writes, lane.in_flight) == (written, 3)
    lane._flush_tick()
    wire.feed(b":1\r\n:2\r\n:3\r\n")
    assert loop.run_until_complete(asyncio.gather(*futures)) == [1, 2, 3]
    assert b"".join(wire.writes) == b"ABC"
    lane.abort("test over")
    loop.close()


@virtual
async def test_a_call_counts_from_its_own_tick_whatever_its_size() -> None:
    wire, loop = FakeWire(), asyncio.get_running_loop()
    lane = lane_on(wire, budget=60.0)
    for size in (1, BULKY - 1, BULKY, 10 * BULKY):
        await asyncio.sleep(3)
        future = lane.submit(b"A" * size)
        assert lane.spoke_at == loop.time()
        await asyncio.sleep(0.5)
        wire.feed(b":1\r\n")
        assert await future == 1
        assert lane.heard_at - lane.spoke_at == pytest.approx(0.5)


@virtual
async def test_a_bulky_command_takes_its_turn_among_those_of_its_tick() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    bulky = b"B" * BULKY
    futures = [lane.submit(packed) for packed in (b"1", b"2", b"3", bulky, b"4")]
    assert wire.writes == [b"1", b"23", bulky]
    lane.abort("cut")
    faults = await asyncio.gather(*futures, return_exceptions=True)
    assert [isinstance(fault, LaneLost) and fault.sent for fault in faults] == [True] * 4 + [False]


@virtual
async def test_bulky_commands_make_the_next_caller_wait_within_the_tick() -> None:
    wire, told = FakeWire(), list[bool]()
    lane = lane_on(wire, on_change=lambda lane: told.append(lane.usable))
    first = lane.submit(b"A" * BULKY)
    assert lane.usable
    wire.transport.backlog = HIGH_WATER + 1
    second = lane.submit(b"B" * BULKY)
    assert (lane.usable, told) == (False, [False])
    wire.feed(b":1\r\n:2\r\n")
    assert await asyncio.gather(first, second) == [1, 2]


@pytest.mark.parametrize("size", [BULKY, 4 * BULKY])
@virtual
async def test_callers_of_one_tick_do_not_pile_their_values_up(size: int) -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    wire.transport.write = pile_up(wire.transport)  # type: ignore[method-assign]
    lane._write = wire.transport.write
    futures = []
    while lane.usable:
        futures.append(lane.submit(b"A" * size))
        assert len(futures) < 1000
    assert wire.transport.backlog <= HIGH_WATER + size
    assert lane._buffer == []
    wire.transport.backlog = 0  # sent
    wire.feed(b"+OK\r\n" * len(futures))
    await asyncio.sleep(2 * SWEEP)
    assert lane.usable
    assert set(await asyncio.gather(*futures)) == {b"OK"}


def pile_up(transport: FakeTransport) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        transport.backlog += len(data)

    return write


@pytest.mark.parametrize("several", [False, True])
@virtual
async def test_a_long_reply_is_told_of_where_there_is_another_lane(several: bool) -> None:
    wire, told = FakeWire(), list[bool]()
    lane = lane_on(wire, on_change=lambda lane: told.append(lane.bulk))
    lane.on_flush = (lambda _lane: None) if several else None
    small, long = lane.submit(b"A"), lane.submit(b"B")
    wire.feed(b":1\r\n$%d\r\n" % (3 * LONG))
    for _ in range(3):
        wire.feed(b"x" * LONG)
    assert lane.bulk
    wire.feed(b"\r\n")
    assert not lane.bulk
    assert told == ([True, False] if several else [])
    assert (await small, await long) == (1, b"x" * 3 * LONG)
