from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sahool_cache.connection.faults import DialFailed, LaneLost
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.lane import LONG, Lane
from sahool_cache.connection.node import BACKOFF_CAP, SPREAD
from tests.unit.clock import settle, virtual
from tests.unit.nodes import HERE, Network, running


@virtual
async def test_a_node_connects_by_itself_and_stays_so() -> None:
    network, told = Network(), list[bool]()
    async with running(network, on_change=lambda node: told.append(bool(node.lanes))) as node:
        await asyncio.sleep(60)
        assert len(network.dialled_at) == 1
        assert (node.role, node.pick(), told) == ("master", node.lanes[0], [True])
        assert "up" in repr(node)


@virtual
async def test_attempts_back_off_up_to_a_cap_and_begin_anew_after_success() -> None:
    network = Network()
    network.refusal = DialFailed("refused")
    async with running(network) as node:
        await asyncio.sleep(5)
        early, late = network.gaps[0], network.gaps[-5:]
        assert 0.002 <= early <= 0.006
        assert all(BACKOFF_CAP / 2 <= gap <= BACKOFF_CAP + 0.001 for gap in late)
        assert [node.fault, node.down_since] == [network.refusal, network.dialled_at[0]]
        assert "down" in repr(node)
        network.refusal = None
        await asyncio.sleep(1)
        assert [len(node.lanes), node.fault, node.down_since] == [1, None, None]
        network.refusal = DialFailed("refused again")
        before = len(network.dialled_at)
        network.wires[-1].hang_up(None)
        await asyncio.sleep(0.02)
        assert len(network.dialled_at) >= before + 2


@virtual
async def test_a_lost_connection_is_replaced_within_the_spread() -> None:
    network = Network()
    async with running(network) as node:
        await settle()
        lost_at = asyncio.get_running_loop().time()
        network.wires[0].hang_up(None)
        assert (node.lanes, node.role, node.down_since) == ([], None, lost_at)
        await asyncio.sleep(SPREAD)
        assert len(node.lanes) == 1
        assert lost_at < network.dialled_at[1] < lost_at + SPREAD


@virtual
async def test_a_server_that_hangs_up_after_each_greeting_is_not_dialled_without_pause() -> None:
    network = Network()
    network.takes = 0.001
    async with running(network):
        for _ in range(1000):
            await asyncio.sleep(0.001)
            while network.wires:
                network.wires.pop().hang_up(None)
        assert len(network.dialled_at) < 100


@virtual
async def test_hurry_ends_a_pause() -> None:
    network = Network()
    network.refusal = DialFailed("refused")
    async with running(network) as node:
        await asyncio.sleep(5)
        await asyncio.sleep(0.01)
        before = len(network.dialled_at)
        node.hurry()
        await settle()
        assert len(network.dialled_at) == before + 1


@virtual
async def test_a_breaker_that_holds_off_is_obeyed_and_then_asked_again() -> None:
    network, holds = Network(), [3.0, 2.0, 0.0]
    start = asyncio.get_running_loop().time()
    async with running(network, may_dial=lambda: holds.pop(0) if holds else 0.0) as node:
        await asyncio.sleep(4.9)
        assert network.dialled_at == []
        await asyncio.sleep(0.2)
        assert network.dialled_at == [pytest.approx(start + 5.0)]
        assert len(node.lanes) == 1


@virtual
async def test_a_node_keeps_several_lanes_and_picks_the_least_busy() -> None:
    network = Network()
    async with running(network, options=LaneOptions(count=3)) as node:
        await settle(50)
        assert len(node.lanes) == 3
        asked = [node.lanes[0].submit(b"A"), node.lanes[1].submit(b"B")]
        assert node.pick() is node.lanes[2]
        network.wires[2].hang_up(None)
        await asyncio.sleep(SPREAD)
        assert len(node.lanes) == 3
        assert node.stats().in_flight == 2
        node.lanes[0].quiet = True
        assert node.quiet
        assert node.pick() is not node.lanes[0]
        for wire in network.wires[:2]:
            wire.feed(b":1\r\n")
        await asyncio.gather(*asked)


@virtual
async def test_a_lane_in_the_middle_of_a_long_reply_is_picked_last() -> None:
    network, changes = Network(), list[Lane | None]()
    options = LaneOptions(count=2, budget=60.0)
    async with running(
        network, options=options, on_change=lambda node: changes.append(node.pick())
    ) as node:
        await settle(50)
        one, other = node.lanes
        long, asked = one.submit(b"A"), [other.submit(b"B") for _ in range(3)]
        assert node.pick() is one
        network.wires[0].feed(b"$%d\r\n" % LONG + b"x" * LONG)
        assert (node.pick(), changes[-1]) == (other, other)
        network.wires[0].feed(b"\r\n")
        assert (node.pick(), changes[-1]) == (one, one)
        network.wires[1].feed(b":1\r\n" * 3)
        assert await asyncio.gather(*asked) == [1] * 3
        assert len(await long) == LONG


@virtual
async def test_a_silent_server_is_silent_on_the_lanes_that_have_not_asked_it_too() -> None:
    network = Network()
    options = LaneOptions(count=3, budget=60.0, quiet_after=0.2)
    async with running(network, options=options) as node:
        await settle(50)
        asked = [node.lanes[0].submit(b"A"), node.lanes[1].submit(b"B")]
        await asyncio.sleep(0.1)
        assert node.pick() is node.lanes[2]
        await asyncio.sleep(0.15)
        assert node.pick() is None
        network.wires[1].feed(b":1\r\n")
        assert node.pick() is node.lanes[1], "it was one connection that was silent"
        network.wires[0].feed(b":1\r\n")
        assert node.pick() is node.lanes[0]
        assert await asyncio.gather(*asked) == [1, 1]


@virtual
async def test_lanes_that_are_no_better_are_given_up_with_one_that_fell_silent() -> None:
    network = Network()
    options = LaneOptions(count=3, budget=60.0, quiet_after=0.2, silence_limit=5.0)
    async with running(network, options=options) as node:
        await settle(50)
        silent, spoke, idle = node.lanes
        asked = silent.submit(b"A")
        await asyncio.sleep(1.0)
        other = spoke.submit(b"B")
        network.wires[1].feed(b":1\r\n")
        assert await other == 1
        network.refusal = DialFailed("hung")
        with pytest.raises(LaneLost):
            await asked
        assert (node.lanes, idle.lost) == ([spoke], silent.lost)
        assert node.pick() is spoke


@virtual
async def test_each_tick_tells_so_that_the_lanes_can_take_turns() -> None:
    network, picked = Network(), list[Lane | None]()
    async with running(
        network,
        options=LaneOptions(count=3, budget=60.0),
        on_flush=lambda node: picked.append(node.pick()),
    ) as node:
        await settle(50)
        lanes, lane, asked, turns = list(node.lanes), node.pick(), [], list[Lane | None]()
        for _ in range(6):
            assert lane is not None
            asked += [lane.submit(b"A") for _ in range(3)]
            await settle()
            lane = picked[-1]
            turns.append(lane)
        assert turns == [*lanes[1:], lanes[0]] * 2
        for wire in network.wires:
            wire.feed(b":1\r\n" * 6)
        assert await asyncio.gather(*asked) == [1] * 18


@virtual
async def test_a_single_lane_tells_of_no_tick() -> None:
    network, told = Network(), list[Any]()
    async with running(network, on_flush=told.append) as node:
        await settle()
        asked = [node.lanes[0].submit(b"A") for _ in range(3)]
        await settle()
        network.wires[0].feed(b":1\r\n" * 3)
        assert await asyncio.gather(*asked) == [1] * 3
        assert told == []


@virtual
async def test_with_no_usable_lane_there_is_none_to_pick() -> None:
    network = Network()
    async with running(network) as node:
        assert node.pick() is None
        await settle()
        node.lanes[0].congested = True
        assert node.pick() is None


@virtual
async def test_an_abort_ends_a_half_open_dial_and_the_next_one_begins() -> None:
    network = Network()
    network.takes = 30.0
    async with running(network) as node:
        await asyncio.sleep(0.1)
        node.abort("fenced")
        await settle()
        assert network.ended == 1
        network.takes = 0.0
        await asyncio.sleep(0.1)
        assert (len(node.lanes), len(network.dialled_at)) == (1, 2)


@virtual
async def test_an_abort_cuts_every_lane() -> None:
    network = Network()
    async with running(network, options=LaneOptions(count=2)) as node:
        await settle(50)
        lanes = list(node.lanes)
        futures = [lane.submit(b"A") for lane in lanes]
        node.abort("no longer the master")
        faults = await asyncio.gather(*futures, return_exceptions=True)
        assert [str(fault) for fault in faults] == ["no longer the master"] * 2
        assert [wire.was_cut for wire in network.wires[:2]] == [True, True]


@virtual
async def test_a_closed_node_dials_no_more_and_refuses_a_late_connection() -> None:
    network = Network()
    network.takes = 1.0
    async with running(network) as node:
        await asyncio.sleep(0.5)
        node.close("retired")
        await asyncio.sleep(60)
        assert node.lanes == []
        assert len(network.dialled_at) == 1
        assert all(wire.was_cut for wire in network.wires)
        assert await node.ask_role(0.3) is None


@virtual
async def test_draining_waits_for_what_is_in_flight_up_to_its_limit() -> None:
    network, loop = Network(), asyncio.get_running_loop()
    async with running(network) as node:
        await settle()
        start = loop.time()
        await node.drain(0.05)
        assert loop.time() == start
        future = node.lanes[0].submit(b"A")
        loop.call_later(0.02, network.wires[0].feed, b":1\r\n")
        await node.drain(0.05)
        assert loop.time() - start == pytest.approx(0.02, abs=0.005)
        assert await future == 1
        hung, start = node.lanes[0].submit(b"B"), loop.time()
        await node.drain(0.05)
        assert loop.time() - start == pytest.approx(0.05, abs=0.005)
        network.wires[0].feed(b":1\r\n")
        await hung


@virtual
async def test_the_figures_survive_a_lost_lane() -> None:
    network = Network()
    async with running(network) as node:
        await settle()
        future = node.lanes[0].submit(b"A")
        network.wires[0].feed(b":1\r\n")
        await future
        network.wires[0].hang_up(None)
        network.refusal = DialFailed("refused")
        await asyncio.sleep(SPREAD)
        stats = node.stats()
        assert (stats.address, stats.answered, stats.lanes) == (HERE, 1, 0)
        assert (stats.role, stats.fault, stats.exclusive) == (None, "refused", 0)
