"""
Whatever callers, the network and the server do in whatever order: every reply is its owner's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sahool_cache.connection.entries import Flipped
from sahool_cache.connection.faults import Expired, LaneLost, WentQuiet
from sahool_cache.connection.lane import Lane
from tests.unit.clock import play, settle
from tests.unit.wires import FakeWire, lane_on

PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"


@dataclass
class Server:
    r"""
    Answers each command ``<number>\\n`` with that number, in the order of the bytes it got.
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
            self.unspoken += b"$%d\r\n%b\r\n" % (len(number), number)

    def speak(self, count: int) -> None:
        said, self.unspoken = self.unspoken[:count], self.unspoken[count:]
        if said:
            self.wire.feed(said)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 4)),
        st.tuples(st.just("flipped"), st.integers(1, 2)),
        st.tuples(st.just("group"), st.integers(1, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("work"), st.integers(1, 6)),
        st.tuples(st.just("speak"), st.integers(1, 40)),
        st.tuples(st.just("push"), st.just(0)),
        st.tuples(st.just("tick"), st.integers(1, 3)),
        st.tuples(st.just("sleep"), st.integers(1, 400)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("abort"), st.just(0)),
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
        self.promised: list[tuple[asyncio.Future[Any], Any, list[int]]] = []
        self.number = 0

    def next(self) -> tuple[int, bytes]:
        self.number += 1
        return self.number, b"%d\n" % self.number

    async def step(self, act: str, count: int) -> None:
        if self.lane.lost is not None:
            return
        match act:
            case "submit" | "flipped":
                for _ in range(count):
                    number, packed = self.next()
                    if act == "submit":
                        future, due = self.lane.submit(packed), str(number)
                        self.promised.append((future, due, [number]))
                    else:
                        future = self.lane.submit_as(packed, Flipped)
                        self.promised.append((future, packed.strip(), [number]))
            case "group":
                pairs = [self.next() for _ in range(count)]
                group = self.lane.submit_group([packed for _, packed in pairs], count)
                numbers = [number for number, _ in pairs]
                self.promised.append((group, list(map(str, numbers)), numbers))
            case "cancel" if self.promised:
                self.promised[count % len(self.promised)][0].cancel()
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
                self.lane.release_reads()
            case "abort":
                self.lane.abort("cut")

    async def finish(self) -> None:
        await settle()
        self.server.work(10_000)
        self.server.speak(len(self.server.unspoken))

    def check(self) -> None:
        written = b"".join(self.wire.writes).split(b"\n")[:-1]
        assert written == [b"%d" % n for n in range(1, len(written) + 1)]
        for future, due, numbers in self.promised:
            assert future.done()
            if future.cancelled():
                continue
            match future.exception():
                case None:
                    assert future.result() == due
                case LaneLost() as fault:
                    assert fault.sent == all(number <= len(written) for number in numbers)
                    assert fault.sent or not self.server.answered & set(numbers)
                case other:
                    assert isinstance(other, Expired | WentQuiet)


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
