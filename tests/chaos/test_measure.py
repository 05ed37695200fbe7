"""
The figures that hand-made histories give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.chaos.audit import Survey
from tests.chaos.history import Kind, Operation, Outcome
from tests.chaos.measure import Evidence, Figures, measure

WRITER, OTHER = "writer 0", "writer 1"


def call(
    kind: Kind,
    key: str,
    value: str | None = None,
    *,
    at: float = 1.0,
    took: float = 0.001,
    task: str = WRITER,
    outcome: Outcome = "ok",
    error: str | None = None,
) -> Operation:
    return Operation(
        kind=kind,
        key=key,
        value=value,
        task=task,
        began=at - took,
        ended=at,
        outcome=outcome,
        error=error,
    )


def steady(start: float, end: float, *, task: str = WRITER, pace: float = 0.01) -> list[Operation]:
    """
    A write of a key of its own at every step of this time.
    """
    steps = range(round((end - start) / pace))
    times = [start + step * pace for step in steps]
    return [call("set", f"set:{task}:{at:.3f}", "v", at=at, task=task) for at in times]


def figures(
    operations: Sequence[Operation],
    *,
    gone: Sequence[Operation] = (),
    values: dict[str, str] | None = None,
    ended: float = 10.0,
    fault: float | None = None,
    switched: float | None = None,
    promoted: float | None = None,
    deadline: float | None = None,
    writers: tuple[str, ...] = (WRITER,),
) -> Figures:
    there = [each for each in operations if each not in gone and each.outcome == "ok"]
    held = {each.key: "1" if each.kind == "incr" else str(each.value) for each in there}
    return measure(
        Evidence(
            operations=operations,
            survey=Survey(
                ids=frozenset(str(each.value) for each in there if each.kind == "sadd"),
                values=held | (values or {}),
            ),
            began=0.0,
            ended=ended,
            fault=fault,
            switched=switched,
            promoted=promoted,
            deadline=deadline,
            writers=writers,
        )
    )


def test_an_outage_is_the_longest_time_without_a_surviving_acknowledgement() -> None:
    found = figures([*steady(0, 2), *steady(3.5, 10)])
    assert found.outage == pytest.approx(1.51)


def test_acknowledgements_of_lost_writes_do_not_shorten_an_outage() -> None:
    doomed = steady(2, 5)
    found = figures([*steady(0, 2), *doomed, *steady(5, 10)], gone=doomed)
    assert found.outage == pytest.approx(3.01)
    assert found.lost == len(doomed)


def test_an_outage_lasts_until_the_end_if_nobody_writes_again() -> None:
    assert figures(steady(0, 2)).outage == pytest.approx(8.01)


def test_a_lost_write_is_counted_whatever_its_kind() -> None:
    writes = [call("sadd", "ids", "0.1"), call("set", "set:1", "v"), call("incr", "incr:1", "1")]
    assert figures(writes).lost == 0
    assert figures(writes, gone=writes).lost == 3


def test_an_overwritten_value_survived_if_its_neighbours_did() -> None:
    key = "register:writer 0:0"
    first, last = call("set", "set:1", "v", at=1), call("set", "set:2", "v", at=9)
    writes = [first, call("set", key, "1", at=5), last, call("set", key, "2", at=9.5)]
    assert figures(writes, values={key: "2"}).outage == pytest.approx(4)
    assert figures(writes, values={key: "2"}, gone=[first]).outage == pytest.approx(9)


def test_a_register_has_lost_its_last_acknowledged_value_only() -> None:
    key = "register:writer 0:0"
    writes = [call("set", key, str(n), at=n) for n in (1, 2, 3)]
    assert figures(writes, values={key: "3"}).lost == 0
    assert figures(writes, values={key: "2"}).lost == 1


def test_a_register_may_hold_what_was_tried_after_its_last_acknowledgement() -> None:
    key = "register:writer 0:0"
    tried = call("set", key, "4", at=4, outcome="unknown", error="OutcomeUnknownError")
    writes = [call("set", key, "3", at=3), tried]
    assert figures(writes, values={key: "4"}).lost == 0


def test_reaction_lasts_until_the_last_writer_is_back() -> None:
    operations = [
        *steady(0, 2),
        *steady(0, 2, task=OTHER),
        *steady(4.020, 10),
        *steady(4.300, 10, task=OTHER),
    ]
    found = figures(operations, switched=4.0, promoted=3.0, writers=(WRITER, OTHER))
    assert found.reaction == pytest.approx(0.3)


def test_a_writer_that_is_on_the_new_master_already_has_only_its_call_counted() -> None:
    operations = [*steady(0, 2), *steady(3.1, 3.995), call("set", "set:x", "v", at=4.05, took=0.02)]
    found = figures(operations, switched=4.0, promoted=3.0, ended=4.1)
    assert found.reaction == pytest.approx(0.02)


def test_a_writer_that_stalls_at_the_announcement_is_seen() -> None:
    stalled = call("set", "set:x", "v", at=4.9, took=0.91)
    operations = [*steady(0, 2), *steady(3.1, 3.985), stalled]
    found = figures(operations, switched=4.0, promoted=3.0, ended=5.0)
    assert found.reaction == pytest.approx(0.9)


def test_writes_of_the_old_master_do_not_count_as_being_back() -> None:
    doomed = steady(3, 4)
    operations = [*steady(0, 3), *doomed, *steady(6, 10)]
    found = figures(operations, gone=doomed, switched=4.0, promoted=3.0)
    assert found.reaction == pytest.approx(2.0)


def test_an_announcement_after_the_load_has_no_reaction() -> None:
    assert figures(steady(0, 2), switched=11.0, promoted=3.0, ended=10.0).reaction is None


def test_a_writer_that_never_returns_counts_until_the_end() -> None:
    assert figures(steady(0, 2), switched=4.0, promoted=3.0).reaction == pytest.approx(6.0)


def test_a_first_write_that_never_comes_takes_for_ever() -> None:
    assert figures(steady(0, 2), promoted=3.0).first_write == math.inf
    assert figures([*steady(0, 2), *steady(3.05, 4)], promoted=3.0).first_write == pytest.approx(
        0.05
    )


def test_after_a_cut_every_writer_has_to_begin_a_write() -> None:
    before = call("set", "set:x", "v", at=2.01, took=0.02)
    operations = [*steady(0, 1.9), before, *steady(2.04, 4)]
    assert figures(operations, fault=2.0).reconnected == pytest.approx(0.04)


def test_errors_of_repeatable_commands_are_told_apart() -> None:
    failed = [
        call("incr", "incr:1", outcome="unknown", error="OutcomeUnknownError"),
        call("set", "set:1", "v", outcome="failed", error="UnavailableError"),
        call("replica_get", "kept:1", outcome="failed", error="NoReplicaError"),
    ]
    found = figures(failed)
    assert (found.errors, found.repeatable_errors, found.other_errors) == (3, 2, 1)
    assert (found.unknown, found.unknown_per_task, found.read_errors) == (1, 1, 1)
    assert found.by_name["incr OutcomeUnknownError"] == 1


def test_an_increment_that_ran_twice_is_one_duplicate() -> None:
    unknown = call("incr", "incr:1", outcome="unknown", error="OutcomeUnknownError")
    assert figures([unknown], values={"incr:1": "1"}).duplicates == 0
    assert figures([unknown], values={"incr:1": "2"}).duplicates == 1


def test_a_call_that_is_said_not_to_have_run_must_not_have_run() -> None:
    failed = call("set", "set:1", "v", outcome="failed", error="UnavailableError")
    assert figures([failed]).denied == 0
    assert figures([failed], values={"set:1": "v"}).denied == 1


def test_a_call_that_outlasts_its_deadline_is_seen() -> None:
    late = call("set", "set:1", "v", at=3, took=2.1)
    assert figures([late], deadline=2.0).beyond_deadline == pytest.approx(0.1)
    assert figures([late]).beyond_deadline is None


def test_a_read_is_as_stale_as_the_oldest_write_that_it_does_not_show() -> None:
    key = "register:writer 0:0"
    writes = [call("set", key, str(n), at=n) for n in (1, 2, 3, 4)]
    read = call("replica_get", key, "1", at=7.001, task="reader 0")
    found = figures([*writes, read], values={key: "4"})
    assert found.stalest == pytest.approx(5.0)
    assert found.stale == 1
    fresh = call("replica_get", key, "4", at=7.001, task="reader 0")
    assert figures([*writes, fresh], values={key: "4"}).stalest == 0


def test_a_write_that_is_not_acknowledged_makes_no_read_stale() -> None:
    key = "register:writer 0:0"
    unknown = call("set", key, "2", at=2, outcome="unknown", error="OutcomeUnknownError")
    read = call("replica_get", key, "1", at=9, task="reader 0")
    assert figures([call("set", key, "1", at=1), unknown, read]).stalest == 0


def test_a_read_that_finds_nothing_is_counted() -> None:
    assert figures([call("replica_get", "kept:1", None)]).absent == 1
    assert figures([call("replica_get", "kept:1", "kept 1")]).absent == 0


def test_the_rate_is_that_before_the_fault() -> None:
    found = figures([*steady(0, 2), *steady(8, 10)], fault=2.0)
    assert found.rate == pytest.approx(100)
