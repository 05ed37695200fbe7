from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sahool_cache.connection.entries import Timed
from sahool_cache.connection.faults import Expired, LaneLost, WentQuiet
from sahool_cache.connection.lane import BULKY, SWEEP
from tests.unit.clock import settle, virtual
from tests.unit.wires import FakeWire, lane_on


def sent(fault: object) -> bool:
    assert isinstance(fault, LaneLost)
    return fault.sent


@virtual
async def test_an_abort_tells_the_sent_from_the_unsent() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    early = [lane.submit(b"A"), lane.submit(b"B"), lane.submit_group([b"CD"], 2)]
    late = [lane.submit(b"E"), lane.submit(b"F")]
    lane.abort("cut")
    await settle()
    faults = await asyncio.gather(*early, *late, return_exceptions=True)
    assert list(map(sent, faults)) == [True, True, True, False, False]
    assert wire.writes == [b"A", b"B", b"CD"]
    assert (lane.in_flight, lane.lost, lane.usable) == (0, "cut", False)


@virtual
async def test_a_cancelled_caller_among_the_unsent_does_not_shift_the_others() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    futures = [lane.submit(letter) for letter in (b"A", b"B", b"C")]
    futures[1].cancel()
    lane.abort("cut")
    faults = await asyncio.gather(futures[0], futures[2], return_exceptions=True)
    assert list(map(sent, faults)) == [True, False]


@virtual
async def test_a_lane_ends_once_and_tells_it_once() -> None:
    wire, told = FakeWire(), list[str | None]()
    lane = lane_on(wire, on_change=lambda lane: told.append(lane.lost))
    waiting = asyncio.create_task(lane.wait_lost())
    await settle()
    lane.abort("first")
    lane.abort("second")
    wire.hang_up(ConnectionResetError("reset"))
    assert (await waiting, told, wire.was_cut) == ("first", ["first"], True)
    assert await lane.wait_lost() == "first"


@virtual
async def test_a_caller_who_stops_waiting_for_the_end_does_not_disturb_the_next() -> None:
    lane = lane_on(FakeWire())
    one, other = (asyncio.create_task(lane.wait_lost()) for _ in range(2))
    await settle()
    one.cancel()
    await settle()
    lane.abort("cut")
    assert await other == "cut"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (None, "closed by the server"),
        (ConnectionResetError("reset by peer"), "ConnectionResetError: reset by peer"),
    ],
)
@virtual
async def test_the_servers_hanging_up_ends_the_lane(error: Exception | None, why: str) -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    future = lane.submit(b"A")
    wire.feed(b"$5\r\nhal")
    wire.hang_up(error)
    with pytest.raises(LaneLost) as caught:
        await future
    assert (str(caught.value), sent(caught.value), lane.lost) == (why, True, why)


@virtual
async def test_a_command_given_to_a_lane_that_has_ended_fails_at_once_as_unsent() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    lane.abort("cut")
    futures = [lane.submit(b"A"), lane.submit_group([b"B"], 1)]
    async with asyncio.timeout(0.1):
        faults = await asyncio.gather(*futures, return_exceptions=True)
    assert list(map(sent, faults)) == [False, False]
    assert wire.writes == []


@pytest.mark.parametrize("offset", [0.0, 0.001, SWEEP / 2, SWEEP - 0.001])
@virtual
async def test_a_caller_behind_a_hung_head_expires_within_its_own_budget(offset: float) -> None:
    wire, loop = FakeWire(), asyncio.get_running_loop()
    lane = lane_on(wire, budget=1.0, silence_limit=60.0)
    head = asyncio.gather(lane.submit(b"A"), return_exceptions=True)
    await asyncio.sleep(0.5 + offset)
    asked = loop.time()
    second = lane.submit(b"B")
    with pytest.raises(Expired):
        await second
    assert 1.0 <= loop.time() - asked <= 1.05
    assert lane.in_flight == 2
    wire.feed(b":1\r\n:2\r\n")
    third = lane.submit(b"C")
    wire.feed(b":3\r\n")
    assert await third == 3
    assert isinstance((await head)[0], Expired)


@virtual
async def test_callers_expire_by_their_age_while_the_lane_is_busy() -> None:
    wire, loop = FakeWire(), asyncio.get_running_loop()
    lane = lane_on(wire, budget=1.0)

    async def call(packed: bytes) -> float | None:
        asked = loop.time()
        try:
            await lane.submit(packed)
        except Expired:
            return loop.time() - asked
        return None

    # Two commands come in each moment and one is answered: the queue grows beyond the budget.
    calls = []
    for moment in range(300):
        calls += [asyncio.create_task(call(b"A")), asyncio.create_task(call(b"B"))]
        await asyncio.sleep(0.01)
        if moment % 2:
            wire.feed(b":1\r\n")
    took = [each for each in await asyncio.gather(*calls) if each is not None]
    assert len(took) > 300
    assert [each for each in took if not 1.0 <= each <= 1.05] == []


@virtual
async def test_callers_who_keep_the_time_themselves_do_not_expire_by_the_lane() -> None:
    wire = FakeWire()
    lane = lane_on(wire, budget=1.0, silence_limit=60.0)
    timed, group = lane.submit_as(b"A", Timed), lane.submit_group([b"BC"], 2)
    plain = lane.submit(b"D")
    with pytest.raises(Expired):
        await plain
    await asyncio.sleep(10)
    wire.feed(b":1\r\n:2\r\n:3\r\n:4\r\n")
    assert await asyncio.gather(timed, group) == [1, [2, 3]]


@virtual
async def test_an_answered_lane_is_asleep() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    future = lane.submit(b"A")
    wire.feed(b":1\r\n")
    assert await future == 1
    await asyncio.sleep(2 * SWEEP)
    assert lane._sweeper is None


@virtual
async def test_silence_makes_the_server_suspect_and_a_byte_clears_it() -> None:
    wire, told, loop = FakeWire(), list[tuple[float, bool]](), asyncio.get_running_loop()
    start = loop.time()
    lane = lane_on(
        wire,
        budget=9.0,
        quiet_after=0.2,
        on_change=lambda lane: told.append((loop.time() - start, lane.quiet)),
    )
    future = lane.submit(b"A")
    await asyncio.sleep(0.5)
    assert (lane.quiet, lane.usable) == (True, False)
    wire.feed(b"$4\r\nha")
    assert (lane.quiet, lane.usable) == (False, True)
    wire.feed(b"lf\r\n")
    assert await future == b"half"
    (quiet_at, quiet), (_, loud) = told
    assert 0.2 <= quiet_at <= 0.25
    assert (quiet, loud) == (True, False)


@virtual
async def test_an_idle_server_is_not_suspect() -> None:
    wire = FakeWire()
    lane = lane_on(wire, quiet_after=0.1, silence_limit=0.3)
    future = lane.submit(b"A")
    wire.feed(b":1\r\n")
    await future
    await asyncio.sleep(60)
    assert (lane.quiet, lane.lost) == (False, None)
    later = lane.submit(b"B")
    await asyncio.sleep(0.09)
    assert not lane.quiet
    wire.feed(b":2\r\n")
    assert await later == 2


@virtual
async def test_bytes_that_leave_count_as_a_sign_of_life() -> None:
    wire = FakeWire()
    lane = lane_on(wire, quiet_after=0.2, silence_limit=0.5, budget=9.0)
    future = lane.submit(b"a big one")
    for left in range(100, 0, -10):
        wire.transport.backlog = left
        await asyncio.sleep(0.1)
        assert not lane.quiet
    wire.feed(b":1\r\n")
    assert await future == 1


@virtual
async def test_a_server_that_stays_silent_is_given_up() -> None:
    wire, loop = FakeWire(), asyncio.get_running_loop()
    start = loop.time()
    lane = lane_on(wire, budget=9.0, quiet_after=0.2, silence_limit=2.0)
    future = lane.submit(b"A")
    with pytest.raises(LaneLost, match="no byte in 2 s") as caught:
        await future
    assert 2.0 <= loop.time() - start <= 2.05
    assert (caught.value.sent, wire.was_cut) == (True, True)


@virtual
async def test_released_reads_may_go_elsewhere_and_their_late_replies_reach_nobody() -> None:
    wire = FakeWire(role="replica")
    lane = lane_on(wire, budget=9.0)
    futures = [lane.submit(b"A"), lane.submit_group([b"BC"], 2), lane.submit(b"D")]
    futures[2].cancel()
    lane.release_reads()
    faults = await asyncio.gather(*futures[:2], return_exceptions=True)
    assert [type(fault) for fault in faults] == [WentQuiet, WentQuiet]
    last = lane.submit(b"E")
    wire.feed(b":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n")
    assert await last == 5


class Full:
    """
    A transport that has no memory left for what comes after the first so many writes.
    """

    def __init__(self, wire: FakeWire, room: int) -> None:
        self._write, self._room = wire.transport.write, room
        wire.transport.write = self.write  # type: ignore[method-assign]

    def write(self, data: bytes) -> None:
        if not self._room:
            raise MemoryError
        self._room -= 1
        self._write(data)


@pytest.mark.parametrize("room", range(4))
@virtual
async def test_a_write_that_fails_ends_the_lane_before_replies_go_astray(room: int) -> None:
    wire = FakeWire()
    Full(wire, room)
    lane = lane_on(wire)
    futures = [lane.submit(packed) for packed in (b"A", b"B", b"C", b"D" * BULKY, b"E", b"F")]
    await settle()
    assert lane.lost == "not written (MemoryError)"
    faults = await asyncio.gather(*futures, return_exceptions=True)
    # What may have left in part counts as sent; what came after it was never tried.
    tried = {0: 1, 1: 4, 2: 4, 3: 6}[room]
    assert list(map(sent, faults)) == [True] * tried + [False] * (6 - tried)
    assert (wire.was_cut, lane.in_flight) == (True, 0)


@virtual
async def test_a_group_that_cannot_be_packed_to_its_end_ends_the_lane() -> None:
    wire = FakeWire()
    lane = lane_on(wire)
    early = lane.submit(b"A")

    def chunks() -> Iterator[bytes]:
        yield b"B"
        raise MemoryError

    group, late = lane.submit_group(chunks(), 2), lane.submit(b"C")
    assert lane.lost == "not written as a whole (MemoryError)"
    faults = await asyncio.gather(early, group, late, return_exceptions=True)
    assert list(map(sent, faults)) == [True, True, False]
    assert wire.writes == [b"A", b"B"]
