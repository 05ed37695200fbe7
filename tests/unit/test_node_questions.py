from __future__ import annotations

import asyncio

import pytest

from sahool_cache.connection.faults import DialFailed, LaneLost
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.packing import pack
from tests.unit.clock import settle, virtual
from tests.unit.nodes import Network, running
from tests.unit.wires import FakeWire


def hello(role: bytes) -> bytes:
    return b"%1\r\n+role\r\n+" + role + b"\r\n"


@pytest.mark.parametrize("decode", [False, True])
@virtual
async def test_the_role_is_asked_of_the_server_itself(decode: bool) -> None:
    network = Network()
    async with running(network, options=LaneOptions(decode=decode)) as node:
        await settle()
        asked = asyncio.create_task(node.ask_role(0.3))
        await settle()
        assert b"HELLO" in network.wires[0].writes[0]
        network.wires[0].feed(hello(b"replica"))
        assert await asked == "replica"
        assert (node.role, node.lanes[0].role) == ("replica", "replica")


@virtual
async def test_the_role_is_the_servers_whichever_lane_was_asked() -> None:
    network = Network()
    network.make = lambda: FakeWire(role="replica")
    async with running(network, options=LaneOptions(count=3)) as node:
        await settle(50)
        asked = asyncio.create_task(node.ask_role(0.3))
        await settle()
        network.wires[0].feed(hello(b"master"))
        assert await asked == "master"
        assert [lane.role for lane in node.lanes] == ["master"] * 3


@virtual
async def test_the_role_of_a_new_connection_is_that_of_its_greeting() -> None:
    network = Network()
    network.takes = 0.1
    network.make = lambda: FakeWire(role="replica")
    async with running(network) as node:
        assert await node.ask_role(0.3) == "replica"
        assert network.wires[0].writes == []


@virtual
async def test_nobody_who_answers_has_no_role() -> None:
    network, loop = Network(), asyncio.get_running_loop()
    network.takes = 9.0
    async with running(network) as node:
        asked = loop.time()
        assert await node.ask_role(0.3) is None
        assert loop.time() - asked == pytest.approx(0.3)
    network = Network()
    network.refusal = DialFailed("refused")
    async with running(network) as node:
        assert await node.ask_role(0.3) is None
    network = Network()
    async with running(network) as node:
        await settle()
        assert await node.ask_role(0.3) is None


@virtual
async def test_the_role_is_asked_anew_where_the_connection_ends_meanwhile() -> None:
    network = Network()
    async with running(network) as node:
        await settle()
        asked = asyncio.create_task(node.ask_role(0.3))
        await settle()
        network.make = lambda: FakeWire(role="replica")
        network.wires[0].hang_up(None)
        assert await asked == "replica"


@virtual
async def test_where_hello_is_refused_the_greeting_has_to_do() -> None:
    network = Network()
    async with running(network) as node:
        await settle()
        asked = asyncio.create_task(node.ask_role(0.3))
        await settle()
        network.wires[0].feed(b"-NOPERM no\r\n")
        assert await asked == "master"


@virtual
async def test_a_question_of_ours_measures_the_round_trip() -> None:
    network = Network()
    async with running(network) as node:
        await settle()
        for took in (0.010, 0.020):
            asked = asyncio.create_task(node.ask(b"PING"))
            await asyncio.sleep(took)
            network.wires[0].feed(b"+PONG\r\n")
            assert await asked == b"PONG"
        assert node.rtt == pytest.approx(0.8 * 0.010 + 0.2 * 0.020)


@virtual
async def test_a_question_waits_for_the_first_connection_but_not_for_the_next() -> None:
    network = Network()
    network.takes = 0.1
    network.refusal = DialFailed("refused")
    async with running(network) as node:
        with pytest.raises(LaneLost) as caught:
            await node.ask(b"PING")
        assert not caught.value.sent


@virtual
async def test_blocked_waits_are_ended_by_the_ids_of_their_connections() -> None:
    network = Network()
    async with running(network) as node:
        node.unblock([7])  # not connected: nothing to say it on
        await settle()
        node.unblock([7, 8])
        await settle()
        wire = network.wires[0]
        sent = b"".join(wire.writes)
        assert sent == b"".join(
            pack(("CLIENT", "UNBLOCK", number, "ERROR")) for number in ("7", "8")
        )
        wire.feed(b":1\r\n-NOPERM no\r\n")  # and nobody minds the answers
        await settle()
        node.unblock([9])
        await settle()
        node.abort("fenced")
