"""
Whatever callers, the network and the server do in whatever order: every reply is its owner's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from sahool_cache.connection.entries import Flipped
from sahool_cache.connection.faults import Expired, LaneLost, WentQuiet
from sahool_cache.connection.lane import BULKY, Lane
from tests.unit.clock import play, settle
from tests.unit.wires import FakeWire, lane_on

PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"


def answer(number: int) -> bytes:
    if number % 7 == 0:
        return b"-ERR no %d\r\n" % number
    text = b"%d\xff" % number if number % 11 == 0 else b"%d" % number
    return b"$%d\r\n%b\r\n" % (len(text), text)


def is_answer(reply: Any, number: int, *, decoded: bool) -> bool:
    """
    Whether that is how a caller meets the answer to that command.
    """
    if number % 7 == 0:
        return isinstance(reply, ResponseError) and str(reply) == f"no {number}"
    if number % 11 == 0 and decoded:
        return isinstance(reply, UnicodeDecodeError) and reply.object == b"%d\xff" % number
    text = b"%d\xff" % number if number % 11 == 0 else b"%d" % number
    return bool(reply == (text.decode() if decoded else text))


@dataclass(kw_only=True)
class Promise:
    """
    The commands behind one future, and the places of those whose replies are bytes.
    """

    future: asyncio.Future[Any]
    numbers: list[int]
    flips: frozenset[int] = frozenset()
    grouped: bool = False

    def is_kept(self) -> bool:
        error = self.future.exception()
        replies = self.future.result() if error is None else [error]
        replies = replies if self.grouped or error is not None else [replies]
        return len(replies) == len(self.numbers) and all(
            is_answer(reply, number, decoded=place not in self.flips)
            for place, (reply, number) in enumerate(zip(replies, self.numbers, strict=True))
        )


@dataclass
class Server:
    r"""
    Answers each command ``<number>\\n`` in the order of the bytes it got: with that number, with
    an error that names it, or with it and a byte that is no UTF-8.
    """

    wire: FakeWire
    read: int = 0
    answered: set[int] = field(default_factory=set)
    unspoken: bytes = b""

    def work(self, commands: int) -> None:
        got = b"".join(self.wire.writes)
        for _ in range(commands):
            end = got.find(b"\n", self.read)
            if end < 0:
                return
            number = got[self.read : end]
            self.read = end + 1
            self.answered.add(int(number))
            self.unspoken += answer(int(number))

    def speak(self, count: int) -> None:
        said, self.unspoken = self.unspoken[:count], self.unspoken[count:]
        if said:
            self.wire.feed(said)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 4)),
        st.tuples(st.just("flipped"), st.integers(1, 2)),
        st.tuples(st.just("bulky"), st.integers(1, 2)),
        st.tuples(st.just("group"), st.integers(1, 5)),
        st.tuples(st.just("flipped group"), st.integers(2, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("work"), st.integers(1, 6)),
        st.tuples(st.just("speak"), st.integers(1, 40)),
        st.tuples(st.just("push"), st.just(0)),
        st.tuples(st.just("tick"), st.integers(1, 3)),
        st.tuples(st.just("sleep"), st.integers(1, 400)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("abort"), st.just(0)),
        st.tuples(st.just("hang up"), st.just(0)),
    ),
    max_size=60,
)


class Story:
    """
    One lane, and what its callers were promised.
    """

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.lane: Lane = lane_on(self.wire, decode=True, silence_limit=60.0)
        self.server = Server(self.wire)
        self.promised: list[Promise] = []
        self.number = 0
        self.released = False

    def next(self) -> tuple[int, bytes]:
        self.number += 1
        return self.number, b"%d\n" % self.number

    def submit(self, act: str) -> None:
        number, packed = self.next()
        if act == "bulky":
            packed = packed.rjust(BULKY)
        if act != "flipped":
            self.promised.append(Promise(future=self.lane.submit(packed), numbers=[number]))
        else:
            future = self.lane.submit_as(packed, Flipped)
            self.promised.append(Promise(future=future, numbers=[number], flips=frozenset({0})))

    def group(self, count: int, flips: frozenset[int]) -> None:
        numbers, packed = zip(*(self.next() for _ in range(count)), strict=True)
        future = self.lane.submit_group(packed, count, flips)
        promise = Promise(future=future, numbers=list(numbers), flips=flips, grouped=True)
        self.promised.append(promise)

    async def step(self, act: str, count: int) -> None:
        if self.lane.lost is not None and act not in {"submit", "flipped", "bulky", "group"}:
            return
        match act:
            case "submit" | "flipped" | "bulky":
                for _ in range(count):
                    self.submit(act)
            case "group" | "flipped group":
                self.group(count, frozenset(range(0, count, 2) if act != "group" else ()))
            case "cancel" if self.promised:
                self.promised[count % len(self.promised)].future.cancel()
            case "work":
                self.server.work(count)
            case "speak":
                self.server.speak(count)
            case "push":
                # The server speaks whole messages: a push stands between two replies.
                self.server.unspoken += PUSH
            case "tick":
                await settle(count)
            case "sleep":
                await asyncio.sleep(count / 100)
            case "release":
                self.released = True
                self.lane.release_reads()
            case "abort":
                self.lane.abort("cut")
            case "hang up":
                self.wire.hang_up(None)

    async def finish(self) -> None:
        await settle()
        self.server.work(10_000 if self.lane.lost is None else 0)
        self.server.speak(len(self.server.unspoken))

    def check(self) -> None:
        written = b"".join(self.wire.writes).split(b"\n")[:-1]
        assert [*map(int, written)] == [*range(1, len(written) + 1)]
        assert self.lane.lost in {None, "cut", "closed by the server"}
        for promise in self.promised:
            future, numbers = promise.future, promise.numbers
            assert future.done()
            if future.cancelled():
                continue
            fault = future.exception()
            match fault:
                case LaneLost():
                    assert fault.sent == all(number <= len(written) for number in numbers)
                    assert fault.sent or not self.server.answered & set(numbers)
                case WentQuiet():
                    assert self.released
                case Expired():
                    assert numbers[-1] <= len(written)
                case _:
                    assert promise.is_kept()
                    assert self.server.answered >= set(numbers)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(STEPS)
def test_every_survivor_gets_its_own_reply(steps: list[tuple[str, int]]) -> None:
    async def scenario() -> None:
        story = Story()
        for act, count in steps:
            await story.step(act, count)
        await story.finish()
        story.check()

    play(scenario())
