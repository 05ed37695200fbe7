from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging

import pytest

from sahool_cache import events
from sahool_cache.address import Address
from sahool_cache.events import (
    BreakerChanged,
    Event,
    FenceLifted,
    MasterChanged,
    NodeDown,
    SentinelDown,
    SlowCommand,
)
from sahool_cache.observers import Events, LoggingObserver
from tests.unit.clock import settle, virtual


def fact(number: int) -> FenceLifted:
    return FenceLifted(at=float(number), why=f"reason {number}")


class Keeper:
    def __init__(self) -> None:
        self.seen: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.seen.append(event)


class Failing:
    def on_event(self, event: Event) -> None:
        raise RuntimeError(f"cannot take {event}")


def test_each_event_reaches_every_observer_in_order() -> None:
    one, other = Keeper(), Keeper()
    told = Events([one])
    told.add(other)
    for number in range(3):
        told.emit(fact(number))
    assert one.seen == other.seen == [fact(0), fact(1), fact(2)]
    told.remove(one)
    told.remove(one)
    told.emit(fact(3))
    assert (len(one.seen), len(other.seen)) == (3, 4)


def test_an_observer_that_fails_harms_nobody_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    last = Keeper()
    told = Events([Failing(), last, Failing()])
    for number in range(5):
        told.emit(fact(number))
    assert len(last.seen) == 5
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 2
    assert {record.name for record in errors} == {"sahool_cache.events"}
    assert "Failing" in errors[0].getMessage()


def test_an_observer_may_leave_while_it_is_told() -> None:
    class Leaving(Keeper):
        def on_event(self, event: Event) -> None:
            super().on_event(event)
            told.remove(self)

    leaving, after = Leaving(), Keeper()
    told = Events([leaving, after])
    told.emit(fact(0))
    told.emit(fact(1))
    assert (len(leaving.seen), len(after.seen)) == (1, 2)


def test_an_event_is_one_line_of_facts_without_the_clock() -> None:
    event = NodeDown(at=12.5, node=Address("h", 1), why="gone")
    assert str(event) == "NodeDown node=h:1 why=gone"


def test_every_event_is_a_frozen_fact() -> None:
    kinds = [each for each in vars(events).values() if isinstance(each, type)]
    kinds = [each for each in kinds if issubclass(each, Event) and each is not Event]
    assert len(kinds) >= 11
    for kind in kinds:
        assert kind.__name__ in events.__all__
        event = kind(**{field.name: 0 for field in dataclasses.fields(kind)})
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.at = 1.0


def switch(old: Address | None) -> MasterChanged:
    return MasterChanged(
        at=1.0, old=old, new=Address("h", 2), epoch=3, provisional=False, outage=None
    )


def test_the_log_tells_trouble_from_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = LoggingObserver()
    down = SentinelDown(at=1.0, sentinel=Address("h", 3), why="gone")
    for event in (down, switch(Address("h", 1)), fact(1)):
        observer.on_event(event)
    assert [record.levelno for record in caplog.records] == [
        logging.WARNING,
        logging.INFO,
        logging.INFO,
    ]
    assert "sentinel=h:3" in caplog.text


def test_slow_commands_are_logged_by_the_second_and_not_by_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    observer = LoggingObserver()
    for number in range(3000):
        observer.on_event(SlowCommand(at=100 + number / 1000, command="GET", seconds=0.5))
    assert 1 <= len(caplog.records) <= 4
    assert "GET" in caplog.text


@virtual
async def test_a_stream_gives_the_events_from_its_beginning_to_its_end() -> None:
    told = Events()
    told.emit(fact(0))
    stream = told.stream()
    told.emit(fact(1))
    told.emit(fact(2))
    told.end_streams()
    told.emit(fact(3))
    assert [event async for event in stream] == [fact(1), fact(2)]


@virtual
async def test_a_reader_waits_for_the_next_event() -> None:
    told, seen = Events(), list[Event]()
    stream = told.stream()

    async def read() -> None:
        async for event in stream:
            seen.append(event)

    reading = asyncio.create_task(read())
    await settle()
    told.emit(fact(1))
    await settle()
    assert seen == [fact(1)]
    told.end_streams()
    await reading


@virtual
async def test_a_reader_that_lags_loses_the_oldest_events_only() -> None:
    told = Events()
    stream = told.stream(3)
    for number in range(10):
        told.emit(fact(number))
    told.end_streams()
    seen = [event async for event in stream]
    assert seen == [fact(8), fact(9)]  # the end took one place


@virtual
async def test_a_stream_that_nobody_holds_is_forgotten() -> None:
    told = Events()
    stream = told.stream()
    told.emit(fact(1))
    assert await anext(stream) == fact(1)
    del stream
    gc.collect()
    assert not told._streams


@virtual
async def test_a_stream_that_has_ended_stays_ended() -> None:
    told = Events()
    stream = told.stream()
    told.end_streams()
    assert [event async for event in stream] == []
    assert [event async for event in stream] == []


def test_a_dead_replicas_breaker_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = LoggingObserver()
    observer.on_event(switch(Address("h", 1)))
    for node in (Address("h", 1), Address("h", 2)):  # the old master, and the new one
        observer.on_event(BreakerChanged(at=2.0, node=node, state="open"))
    assert [record.levelno for record in caplog.records][1:] == [logging.INFO, logging.WARNING]
