from __future__ import annotations

import asyncio

from sahool_cache.connection.faults import DialFailed, WentQuiet
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.node import Node
from tests.unit.clock import settle, virtual
from tests.unit.nodes import Network, running
from tests.unit.wires import FakeWire

AGE = 100.0


def aging(**facts: object) -> LaneOptions:
    return LaneOptions(**{"budget": 1.0, "max_age": AGE, **facts})  # type: ignore[arg-type]


@virtual
async def test_each_lane_is_replaced_at_a_moment_of_its_own_before_that_age() -> None:
    network = Network()
    async with running(network, options=aging(count=8)) as node:
        await asyncio.sleep(AGE)
        gaps = [at - network.dialled_at[0] for at in network.dialled_at[8:16]]
        assert len(node.lanes) == 8
        assert all(0.8 * AGE <= gap <= 0.96 * AGE for gap in gaps)
        assert len(set(gaps)) == 8
        assert max(gaps) - min(gaps) > 0.05 * AGE
        assert [wire.was_cut for wire in network.wires[:8]] == [True] * 8


@virtual
async def test_there_is_always_a_lane_and_it_is_changed_in_one_step() -> None:
    network = Network()
    seen: list[int] = []

    def look(node: Node) -> None:
        seen.append(len(node.lanes))

    async with running(network, options=aging(), on_change=look):
        network.takes = 5.0  # connecting is slow
        await asyncio.sleep(10 * AGE)
        assert len(network.dialled_at) >= 10
        assert set(seen) == {1}


@virtual
async def test_a_lane_that_is_replaced_is_cut_when_its_last_reply_has_come() -> None:
    network = Network()
    async with running(network, options=aging(silence_limit=1000.0, budget=1000.0)) as node:
        await settle()
        old = node.lanes[0]
        reply = old.submit(b"PING")
        await asyncio.sleep(AGE)
        assert node.lanes != [old]
        assert not network.wires[0].was_cut
        assert node.in_flight == 1
        network.wires[0].feed(b"+PONG\r\n")
        assert await reply == b"PONG"
        await asyncio.sleep(0.1)
        assert network.wires[0].was_cut
        assert (node.in_flight, node.stats().answered) == (0, 1)


@virtual
async def test_an_old_lane_goes_on_while_no_new_one_can_be_had() -> None:
    network = Network()
    async with running(network, options=aging()) as node:
        await settle()
        old = node.lanes[0]
        network.refusal = DialFailed("refused", permanent=True, login=True)
        await asyncio.sleep(2 * AGE)
        assert node.lanes == [old]
        assert (node.fault, node.down_since) == (network.refusal, None)
        network.refusal = None
        await asyncio.sleep(1)
        assert node.lanes != [old]
        assert (len(node.lanes), node.fault) == (1, None)


@virtual
async def test_an_old_lane_that_is_lost_during_the_dial_is_replaced_once() -> None:
    network = Network()
    async with running(network, options=aging()) as node:
        await settle()
        network.takes = 5.0
        while len(network.dialled_at) < 2:
            await asyncio.sleep(0.1)
        network.wires[0].hang_up(None)
        assert node.lanes == []
        await asyncio.sleep(6)
        assert (len(node.lanes), len(network.dialled_at)) == (1, 2)


@virtual
async def test_cutting_a_server_off_cuts_what_is_leaving_too() -> None:
    network = Network()
    async with running(network, options=aging(silence_limit=1000.0, budget=1000.0)) as node:
        await settle()
        reply = node.lanes[0].submit(b"PING")
        await asyncio.sleep(AGE)
        node.abort("fenced")
        assert network.wires[0].was_cut
        assert "fenced" in str(reply.exception())


@virtual
async def test_reads_on_a_silent_lane_that_is_leaving_a_replica_are_asked_elsewhere() -> None:
    network = Network()
    network.make = lambda: FakeWire(role="replica")
    async with running(network, options=aging(silence_limit=1000.0, budget=1000.0)) as node:
        await asyncio.sleep(0.799 * AGE)
        node.lanes[0].submit(b"GET")  # so that it is not yet quiet when it leaves
        old = node.lanes[0]
        while node.lanes == [old]:
            await asyncio.sleep(0.05)
            network.wires[0].feed(b"+x\r\n")
            read = old.submit(b"GET")
        await asyncio.sleep(1)
        assert isinstance(read.exception(), WentQuiet)


@virtual
async def test_without_an_age_nothing_is_replaced() -> None:
    network = Network()
    async with running(network):
        await asyncio.sleep(1e6)
        assert len(network.dialled_at) == 1
