from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.packing import pack
from sahool_cache.connection.sentinel import SentinelChannel
from tests.unit.clock import settle, virtual
from tests.unit.wires import FakeWire

EVENT = b">4\r\n+pmessage\r\n+*\r\n+%b\r\n+%b\r\n"
CONFIRMED = b">3\r\n+psubscribe\r\n+*\r\n:1\r\n"


def a_channel() -> tuple[FakeWire, SentinelChannel]:
    wire = FakeWire(role="sentinel")
    return wire, SentinelChannel(wire, timeout=0.3)


@virtual
async def test_questions_go_out_in_one_write_and_errors_are_among_the_answers() -> None:
    wire, channel = a_channel()
    asked = asyncio.create_task(channel.ask((("PING",), ("SENTINEL", "MYID"), ("WRONG",))))
    await settle()
    assert wire.writes == [pack(("PING",)) + pack(("SENTINEL", "MYID")) + pack(("WRONG",))]
    wire.feed(b"+PONG\r\n$2\r\nid\r\n-ERR no\r\n")
    pong, run_id, wrong = await asked
    assert (pong, run_id, channel.role) == (b"PONG", b"id", "sentinel")
    assert isinstance(wrong, ResponseError)


@virtual
async def test_events_are_heard_as_text_from_the_subscription_on() -> None:
    wire, channel = a_channel()
    heard: list[tuple[str, str]] = []
    listening = asyncio.create_task(channel.listen(lambda event, text: heard.append((event, text))))
    await settle()
    assert wire.writes == [pack(("PSUBSCRIBE", "*"))]
    wire.feed(CONFIRMED + EVENT % (b"+odown", b"master m h 1"))
    await listening
    wire.feed(EVENT % (b"+sdown", b"caf\xc3\xa9 \xff"))
    wire.feed(b">3\r\n+message\r\n+x\r\n+y\r\n")
    assert heard == [("+odown", "master m h 1"), ("+sdown", "café \ufffd")]


@virtual
async def test_answers_and_events_do_not_disturb_one_another() -> None:
    wire, channel = a_channel()
    heard: list[str] = []
    listening = asyncio.create_task(channel.listen(lambda event, _text: heard.append(event)))
    await settle()
    wire.feed(CONFIRMED)
    await listening
    asked = asyncio.create_task(channel.ask((("PING",), ("PING",))))
    await settle()
    event = EVENT % (b"+sdown", b"x")
    wire.feed(event + b"+one\r\n" + event + b"+two\r\n" + event)
    assert (await asked, heard) == ([b"one", b"two"], ["+sdown"] * 3)


@virtual
async def test_a_refused_subscription_says_so_and_leaves_the_channel() -> None:
    wire, channel = a_channel()
    listening = asyncio.create_task(channel.listen(lambda _event, _text: None))
    await settle()
    wire.feed(b"-NOPERM no\r\n")
    with pytest.raises(NoPermissionError):
        await listening
    asked = asyncio.create_task(channel.ask((("PING",),)))
    await settle()
    wire.feed(b"+PONG\r\n")
    assert await asked == [b"PONG"]


@virtual
async def test_a_channel_that_has_ended_says_why() -> None:
    wire, channel = a_channel()
    waiting = asyncio.create_task(channel.wait_lost())
    asked = asyncio.create_task(channel.ask((("PING",),)))
    await settle()
    wire.hang_up(None)
    assert await waiting == "closed by the server"
    for attempt in (asked, channel.ask((("PING",),)), channel.listen(lambda _event, _text: None)):
        with pytest.raises(LaneLost, match="closed by the server"):
            await attempt
    assert wire.was_cut


@virtual
async def test_a_sentinel_that_stays_silent_is_given_up() -> None:
    _, channel = a_channel()
    with pytest.raises(LaneLost, match="no byte"):
        await channel.ask((("PING",),))


@virtual
async def test_an_abort_cuts_the_channel() -> None:
    wire, channel = a_channel()
    channel.abort("link ended")
    assert (await channel.wait_lost(), wire.was_cut) == ("link ended", True)
