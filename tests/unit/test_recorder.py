from __future__ import annotations

import logging

import pytest

from sahool_cache.address import Address
from sahool_cache.events import (
    Event,
    FenceLifted,
    FenceRaised,
    LaneTiming,
    MasterChanged,
    NodeDown,
    NodeUp,
    SentinelSaid,
    TopologyConfirmed,
)
from sahool_cache.incident import Incident, read_incidents
from sahool_cache.recorder import INCIDENTS, RING, UNKNOWN, Recorder

A, B, C = Address("a", 1), Address("b", 2), Address("c", 3)
CHOSEN = "+selected-slave"


def switch(at: float, old: Address | None, new: Address, *, early: bool = True) -> MasterChanged:
    outage = None if old is None else 1.5
    return MasterChanged(at=at, old=old, new=new, epoch=6, provisional=early, outage=outage)


def recorder(*events: Event) -> Recorder:
    made = Recorder("m")
    made.on_event(switch(0.0, None, A, early=False))
    for event in events:
        made.on_event(event)
    return made


def crash(made: Recorder, at: float, old: Address, new: Address) -> None:
    made.on_event(NodeDown(at=at, node=old, why="closed"))
    made.left_unknown("INCR", str(old), at + 0.001)
    made.on_event(FenceRaised(at=at + 1.1, master=old, why="+odown"))
    made.on_event(SentinelSaid(at=at + 1.3, event=CHOSEN, node=new))
    made.on_event(switch(at + 1.5, old, new))
    made.on_event(FenceLifted(at=at + 1.5, why="new master"))
    made.waited("SET", 1.4)
    made.waited("SET", 1.5)
    made.waited("GET", 0.2)
    made.wrote(at + 1.502)
    made.wrote(at + 1.6)
    made.on_event(TopologyConfirmed(at=at + 2.4, master=new, epoch=7))
    made.pulse(at + 2.6, [LaneTiming(at=at + 2.6, node=new, rtt=0.001, in_flight=0)])


def test_a_failover_becomes_one_record_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    made = recorder()
    crash(made, 10.0, A, B)
    (incident,) = made.incidents
    assert (incident.old, incident.new, incident.epoch) == ("a:1", "b:2", 7)
    steps = (incident.fenced, incident.elected, incident.promoted, incident.first_write)
    assert steps == (1.1, 1.3, 1.5, 1.502)
    assert (incident.confirmed, incident.outage) == (2.4, 1.5)
    assert [(each.command, each.calls, each.longest) for each in incident.waited] == [
        ("GET", 1, 0.2),
        ("SET", 2, 1.5),
    ]
    assert [(each.at, each.command, each.node) for each in incident.unknown] == [
        (0.001, "INCR", "a:1")
    ]
    assert "3 calls waited, 1.500 s at most; 1 outcomes unknown" in incident.summary
    assert [step.at for step in incident.timeline] == sorted(s.at for s in incident.timeline)
    (line,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert line.name == "sahool_cache.incidents"
    assert "a:1 -> b:2" in line.getMessage()


def test_the_line_in_the_log_holds_the_whole_record(caplog: pytest.LogCaptureFixture) -> None:
    made = recorder()
    crash(made, 10.0, A, B)
    crash(made, 30.0, B, C)
    log = "\n".join(
        f"2026-11-25 03:00:00 WARNING {record.getMessage()}" for record in caplog.records
    )
    torn = log[: len(log) // 4]
    assert tuple(read_incidents(f"{torn}\nanother line\n{log}\n")) == made.incidents


def test_signs_that_nothing_follows_are_forgotten() -> None:
    made = recorder(SentinelSaid(at=10.0, event="+sdown", node=A))
    made.pulse(12.0, [])
    made.pulse(16.0, [])
    made.on_event(SentinelSaid(at=100.0, event="+odown", node=A))
    made.on_event(switch(100.5, A, B, early=False))
    made.pulse(102.0, [])
    assert made.incidents[0].promoted == 0.5


def test_a_master_that_stays_away_is_a_sign_for_as_long_as_it_does() -> None:
    made = recorder(NodeDown(at=10.0, node=A, why="closed"))
    for second in range(11, 40):
        made.pulse(float(second), [])
    made.on_event(switch(40.0, A, B, early=False))
    made.pulse(42.0, [])
    assert made.incidents[0].promoted == 30.0
    back = recorder(NodeDown(at=10.0, node=A, why="cut"), NodeUp(at=10.1, node=A, role="master"))
    back.pulse(16.0, [])
    back.on_event(switch(40.0, A, B, early=False))
    back.pulse(42.0, [])
    assert back.incidents[0].promoted == 0.0


def test_what_a_leader_says_after_the_switch_begins_no_new_case() -> None:
    made = recorder()
    crash(made, 10.0, A, B)
    for late in ("+promoted-slave", "+switch-master", "+failover-end"):
        made.on_event(SentinelSaid(at=13.0, event=late, node=B))
    crash(made, 15.0, B, C)
    assert made.incidents[1].promoted == 1.5


def test_a_replica_that_goes_is_no_sign() -> None:
    made = recorder(NodeDown(at=10.0, node=C, why="closed"))
    made.on_event(switch(20.0, A, B, early=False))
    made.pulse(22.0, [])
    assert made.incidents[0].promoted == 0.0


def test_a_record_that_is_never_confirmed_is_closed_in_the_end_and_by_the_end() -> None:
    made = recorder(switch(10.0, A, B))
    made.pulse(15.0, [])
    assert made.incidents == ()
    made.pulse(19.0, [])
    assert made.incidents[0].confirmed is None
    other = recorder(switch(10.0, A, B))
    other.close()
    assert len(other.incidents) == 1
    other.close()
    assert len(other.incidents) == 1


def test_memory_is_bounded() -> None:
    made = recorder()
    for number in range(3 * RING):
        made.on_event(NodeDown(at=float(number), node=C, why="closed"))
    made.on_event(NodeDown(at=5000.0, node=A, why="closed"))
    for _ in range(3 * UNKNOWN):
        made.left_unknown("INCR", None, 5000.0)
    at = 5000.0
    for _ in range(3 * INCIDENTS):
        made.on_event(switch(at, A, B, early=False))
        at += 10.0
        made.pulse(at, [])
    assert len(made.incidents) == INCIDENTS
    first = Recorder("m")
    first.on_event(switch(0.0, None, A, early=False))
    first.on_event(NodeDown(at=1.0, node=A, why="closed"))
    for _ in range(3 * UNKNOWN):
        first.left_unknown("INCR", None, 1.0)
    first.on_event(switch(2.0, A, B, early=False))
    first.close()
    (incident,) = first.incidents
    assert isinstance(incident, Incident)
    assert (incident.unknown_calls, len(incident.unknown)) == (3 * UNKNOWN, UNKNOWN)
