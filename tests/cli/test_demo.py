"""
The demo: what it charges to whom, what it prints, and one whole run against a real group.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from rich.console import Console

from sahool_cache.address import Address
from sahool_cache.cli import main
from sahool_cache.cli.demo.command import _library_log, _status
from sahool_cache.cli.demo.report import Plain, closing, document, plain_table, print_verdict
from sahool_cache.cli.demo.screen import picture, sparkline
from sahool_cache.cli.demo.script import MINIMUM_SECONDS
from sahool_cache.cli.demo.stage import Frame, NodeState, Note, Stage
from sahool_cache.cli.demo.verdict import Cost, Fault, Result, Verdict, costs, longest_gap
from sahool_cache.cli.terminal import LiveScreen
from sahool_cache.cli.traffic import traffic
from sahool_cache.cli.traffic.evidence import Evidence
from sahool_cache.cli.traffic.ledger import Call, Kind, Ledger
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.embedded.binary import SERVER_VARIABLE
from sahool_cache.events import BreakerChanged, MasterChanged, RotationChanged
from tests.house import ROOT

COSTS = {"outage_ms", "errors", "repeatable_errors", "lost", "duplicates"}
MASTER, REPLICA, DEAD = (Address("127.0.0.1", port) for port in (15001, 15002, 15003))
FAULTS = (Fault(kind="kill", at=10.0), Fault(kind="hang", at=20.0))


def call(kind: Kind, number: int, began: float, error: str | None = None) -> Call:
    return Call(kind=kind, number=number, began=began, ended=began + 0.001, error=error)


def charge(
    calls: Iterable[Call], *, lost: Iterable[int] = (), doubled: Iterable[int] = ()
) -> tuple[Cost, ...]:
    """
    The costs of these calls, if the master holds all of their writes but the `lost`.
    """
    ledger = Ledger(0.0)
    for each in calls:
        ledger.enter(each)
    missing = set(lost)
    present = {(each.kind, each.number) for each in ledger.calls if each.number not in missing}
    evidence = Evidence(present=frozenset(present), doubled=frozenset(doubled))
    return costs(ledger, evidence, FAULTS, end=30.0)


def steady(since: float, until: float) -> list[Call]:
    """
    A write every tenth of a second.
    """
    count = round((until - since) * 10)
    return [call("set", round(since * 10) + step, since + step / 10) for step in range(count)]


def cost(kind: Any = "kill", **figures: int) -> Cost:
    return Cost(**{**dict.fromkeys(COSTS, 0), "kind": kind, **figures})


def verdict(**figures: int) -> Verdict:
    """
    A verdict in which the hang cost ours this much.
    """
    faults = (cost("kill", outage_ms=1300), cost("hang", outage_ms=2000, **figures))
    return Verdict(ours=Result(faults=faults, operations=12_345))


def frame(**changes: Any) -> Frame:
    ledgers = [Ledger(0.0), Ledger(0.0)]
    for ledger in ledgers:
        for each in steady(0.0, 9.0):
            ledger.enter(each)
    ledgers[1].enter(call("get", 1000, 9.5, "TimeoutError"))
    titles = ("RedisClient", "redis-py")
    whole = Frame(
        elapsed=10.0,
        seconds=24.0,
        headline="The master is dead.",
        notes=tuple(Note(at=step, text=f"note {step}", tone="news") for step in range(40)),
        nodes=(
            NodeState(address=MASTER, role="master", in_rotation=False, condition=None),
            NodeState(address=REPLICA, role="replica", in_rotation=True, condition=None),
            NodeState(address=DEAD, role="replica", in_rotation=False, condition="killed"),
        ),
        epoch=7,
        provisional=False,
        sentinels=(3, 3),
        breaker="closed",
        waiting=0,
        contenders=tuple(zip(titles, (each.figures(10.0) for each in ledgers), strict=True)),
    )
    return replace(whole, **changes)


def test_the_longest_gap_counts_from_the_limits_too() -> None:
    assert longest_gap([], since=1.0, until=4.0) == 3.0
    assert longest_gap([1.5, 3.5], since=1.0, until=4.0) == 2.0
    assert longest_gap([0.5, 1.5, 2.0, 9.0], since=1.0, until=4.0) == 2.0


def test_an_outage_is_charged_to_its_own_fault() -> None:
    calls = steady(5, 10) + steady(12, 20) + steady(23, 30)
    kill, hang = charge(calls)
    assert (kill.kind, hang.kind) == ("kill", "hang")
    assert kill.outage_ms == pytest.approx(2100, abs=5)
    assert hang.outage_ms == pytest.approx(3100, abs=5)


def test_a_write_that_did_not_survive_ends_no_outage() -> None:
    calls = [*steady(5, 10), *steady(12, 20), call("sadd", 7777, 11.0)]
    kill, _ = charge(calls)
    assert kill.outage_ms == pytest.approx(1100, abs=5)
    kill, hang = charge(calls, lost=[7777])
    assert kill.outage_ms == pytest.approx(2100, abs=5)
    assert (kill.lost, hang.lost) == (1, 0)


def test_a_write_lost_by_a_crash_was_acknowledged_before_it() -> None:
    calls = [*steady(5, 30), call("sadd", 7777, 19.9)]
    assert [each.lost for each in charge(calls, lost=[7777])] == [0, 1]


def test_only_acknowledged_writes_can_be_lost() -> None:
    calls = [*steady(5, 30), call("set", 7777, 11.0, "ConnectionError"), call("get", 7778, 11.0)]
    assert [each.lost for each in charge(calls, lost=[7777, 7778])] == [0, 0]


def test_errors_are_repeatable_unless_the_call_is_an_increment() -> None:
    failed: list[Call] = [
        call("hincrby", 9001, 0.5, "OutcomeUnknownError"),
        call("hincrby", 9002, 10.5, "OutcomeUnknownError"),
        call("sadd", 9003, 20.5, "ConnectionError"),
        call("set", 9004, 20.5, "ConnectionError"),
        call("get", 9005, 29.0, "TimeoutError"),
    ]
    kill, hang = charge(steady(5, 30) + failed)
    assert (kill.errors, kill.repeatable_errors) == (2, 0)
    assert (hang.errors, hang.repeatable_errors) == (3, 3)


def test_an_increment_that_ran_twice_is_a_duplicate_whatever_the_caller_was_told() -> None:
    calls = [
        *steady(5, 30),
        call("hincrby", 9001, 10.5),
        call("hincrby", 9002, 20.5, "TimeoutError"),
    ]
    assert [each.duplicates for each in charge(calls, doubled=[9001, 9002])] == [1, 1]


def test_errors_of_calls_that_must_not_be_repeated_do_not_fail_the_verdict() -> None:
    assert verdict(errors=4).passed
    assert "4 calls that must not be repeated ended with an error" in closing(verdict(errors=4))


@pytest.mark.parametrize("figure", ["lost", "repeatable_errors", "duplicates"])
def test_one_broken_promise_fails_the_verdict(figure: str) -> None:
    found = verdict(**{figure: 1})
    assert not found.passed
    assert len(found.problems) == 1
    assert closing(found).startswith("FAIL: ")
    assert found.as_data()["verdict"] == "fail"
    assert _status(found, failed=False) == 1


def test_the_costs_of_redis_py_do_not_fail_the_verdict() -> None:
    theirs = Result(faults=(cost("kill", errors=5), cost("hang", lost=900, repeatable_errors=3)))
    found = replace(verdict(), redis_py=theirs)
    assert found.passed
    assert _status(found, failed=False) == 0


def test_a_run_that_was_cut_short_has_not_passed() -> None:
    found = Verdict(ours=Result(faults=(cost("kill"),), operations=10))
    assert not found.passed
    assert _status(found, failed=True) == 2


def test_the_document_has_the_promised_shape() -> None:
    data = json.loads(document(verdict()))
    assert data.keys() == {"ours", "redis_py", "verdict"}
    assert data["redis_py"] is None
    assert data["verdict"] == "pass"
    assert data["ours"]["operations"] == 12_345
    assert [fault.keys() for fault in data["ours"]["faults"]] == [COSTS | {"kind"}] * 2


def test_the_plain_table_has_a_column_for_each_client_and_fault() -> None:
    theirs = Result(faults=(cost("kill", errors=1234), cost("hang", lost=900)), operations=99)
    lines = plain_table(replace(verdict(errors=4), redis_py=theirs)).splitlines()
    rows = {line[:22].strip(): line[22:].split() for line in lines if line}
    assert rows["outage"] == ["1.30", "s", "0.00", "s", "2.00", "s", "0.00", "s"]
    assert rows["errors"] == ["0", "1,234", "4", "0"]
    assert rows["writes lost"] == ["0", "0", "0", "900"]
    assert lines[-1].startswith("PASS: of 12,345 calls")
    assert all(line.isascii() for line in lines)


def test_what_stays_in_the_terminal_fits_80_columns() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, no_color=True, highlight=False)
    theirs = Result(faults=(cost("kill"), cost("hang")), operations=99_999)
    note = Note(at=1.5, text="SIGKILL to the master :15001", tone="fault")
    print_verdict(console, replace(verdict(), redis_py=theirs), [note])
    text = out.getvalue()
    table = [line for line in text.splitlines() if "writes lost" in line]
    assert len(table) == 1  # no cell is wrapped
    assert table[0].split()[2:] == ["0"] * 4
    assert "SIGKILL to the master :15001" in text
    assert "PASS" in text


def test_the_picture_fits_80_columns_and_24_lines_and_shows_everything() -> None:
    out = io.StringIO()
    Console(file=out, width=80, height=24).print(picture(frame(waiting=3), width=80, height=24))
    lines = out.getvalue().rstrip("\n").splitlines()
    assert len(lines) == 24
    assert max(map(len, lines)) == 80
    text = "\n".join(lines)
    for part in ("★ master", "● replica", "✖ killed", "3 of 3 answer", "p50", "p99", "note 39"):
        assert part in text
    assert "closed, 3 calls in line" in text
    assert "1 (1 of repeatable)" in text
    assert "for 1.10 s now" in text
    assert "…" not in text


def test_the_screen_gives_the_terminal_back() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True)
    before = sys.getswitchinterval()
    screen: LiveScreen[Frame] = LiveScreen(console, picture, opening="")
    with screen:
        screen.show(frame())
        deadline = time.monotonic() + 10
        while "note 39" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    text = out.getvalue()
    assert "note 39" in text
    assert text.index("\x1b[?1049h") < text.index("note 39") < text.index("\x1b[?1049l")
    assert text.index("\x1b[?25l") < text.rindex("\x1b[?25h")  # the cursor is shown again
    assert sys.getswitchinterval() == before


def test_the_sparkline_keeps_the_newest_and_shows_whatever_is_not_nothing() -> None:
    assert sparkline([0, 1, 400, 800], 4) == " ▁▄█"
    assert sparkline([9, 0, 5], 2) == " █"
    assert sparkline([], 3) == "   "
    assert sparkline([0, 0], 3) == "   "


def test_a_silence_is_an_outage_only_when_it_is_long() -> None:
    ledger = Ledger(0.0)
    ledger.enter(call("set", 1, 1.0))
    assert ledger.figures(1.1).silence is None
    assert ledger.figures(3.001).silence == pytest.approx(2.0)
    ledger.enter(call("get", 2, 3.0))  # a read ends no outage of writes
    assert ledger.figures(3.001).silence == pytest.approx(2.0)
    assert ledger.figures(3.001).operations == 2


def test_the_clients_events_are_told_in_words() -> None:
    stage = Stage(seconds=24, on_note=lambda _note: None)
    switch = MasterChanged(at=0.0, old=None, new=MASTER, epoch=1, provisional=False, outage=None)
    stage.on_event(switch)
    stage.on_event(replace(switch, old=DEAD, provisional=True))
    stage.on_event(RotationChanged(at=0.0, in_rotation=(REPLICA,)))
    stage.on_event(BreakerChanged(at=0.0, node=MASTER, state="half_open"))
    assert [note.text for note in stage.notes] == [
        "RedisClient follows :15001 already",
        "replica :15002 is in rotation",
        "breaker of :15001 is half-open",
    ]


def test_plain_prints_a_line_for_each_note_and_each_client(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = Plain()
    plain.note(Note(at=1.5, text="SIGKILL to the master :15001", tone="fault"))
    plain.show(frame(elapsed=0.5))  # not due yet
    plain.show(frame(elapsed=2.0))
    plain.show(frame(elapsed=2.1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  1.5 s ! SIGKILL to the master :15001"
    assert [line.split()[2] for line in lines[1:]] == ["RedisClient", "redis-py"]
    assert lines[2].endswith("1 error, outage for 1.10 s")


class Stuck:
    """
    A client that never answers, and cannot be closed.
    """

    title = "stuck"
    prefix = "demo:stuck"

    async def open(self) -> None:
        """
        Does nothing.
        """

    async def call(self, kind: Kind, number: int) -> None:
        """
        Hangs, whether it is cancelled or not.
        """
        for _ in range(2):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)

    async def aclose(self) -> None:
        """
        Hangs.
        """
        await asyncio.sleep(3600)


@pytest.mark.asyncio
async def test_a_client_that_hangs_does_not_hang_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LAST_CALLS", 0.1)
    monkeypatch.setattr(traffic, "CLOSING", 0.1)
    stuck = Traffic(Stuck(), Random(1))
    stuck.start()
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await stuck.stop()
    await stuck.aclose()
    assert time.monotonic() - began < 5
    tasks = sum(traffic.TASKS.values())
    assert [each.error for each in stuck.ledger.calls] == ["no answer"] * tasks
    assert stuck.ledger.operations == 0
    left = {each for each in asyncio.all_tasks() if each.get_name().startswith("demo:stuck")}
    for each in left:  # what it will not let go of now
        each.cancel()
    await asyncio.wait(left, timeout=5)
    assert len(stuck.ledger.calls) == tasks  # and nothing is booked twice


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "601"], "at most 600, not 601"),
        (["--seconds", "nan"], "not nan"),
        (["--seconds", "soon"], "--seconds"),
        (["--plain", "--json"], "exclude one another"),
        (["--colour"], "--colour"),
    ],
)
def test_a_wrong_command_line_ends_with_64(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *options]) == 64
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err


def test_a_missing_server_ends_with_64_and_names_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "/nowhere/valkey-server")
    assert main(["demo", "--json"]) == 64
    told = capsys.readouterr()
    assert told.out == ""
    assert SERVER_VARIABLE in told.err


def test_a_group_that_does_not_start_ends_with_2_and_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "false")
    assert main(["demo", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["verdict"] == "fail"
    assert "the group failed" in told.err


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sahool_cache", "demo", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_an_interrupt_stops_everything_and_ends_with_130() -> None:
    process = start()  # its output is a pipe, so it is plain
    assert process.stdout is not None
    first = process.stdout.readline()
    second = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert first.startswith("For about 24 s, reads and writes go through RedisClient")
    assert second.endswith("the group of six processes is up\n")
    assert process.returncode == 130
    assert err == "Interrupted; everything is stopped.\n"
    assert "\x1b" not in out


@pytest.mark.slow
def test_a_whole_run_passes_and_writes_exactly_one_document() -> None:
    process = start("--json", "--seconds", f"{MINIMUM_SECONDS:g}")
    out, err = process.communicate(timeout=150)
    data = json.loads(out)
    assert (process.returncode, data["verdict"], err) == (0, "pass", ""), (data, err)
    for name in ("ours", "redis_py"):
        faults = data[name]["faults"]
        assert [fault["kind"] for fault in faults] == ["kill", "hang"]
        assert all(fault.keys() == COSTS | {"kind"} for fault in faults)
        assert all(fault["outage_ms"] > 500 for fault in faults)  # each fault was felt
        assert data[name]["operations"] > 1000
    ours = data["ours"]["faults"]
    assert sum(fault[name] for fault in ours for name in ("lost", "duplicates")) == 0
    assert sum(fault["repeatable_errors"] for fault in ours) == 0


def test_an_error_that_the_library_logs_is_kept_off_the_screen_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with _library_log() as records:
        for _ in range(3):
            logging.getLogger("sahool_cache.routing").error("it broke")
        logging.getLogger("sahool_cache.events").warning("a failover")
        logging.getLogger("asyncio").error("of no interest here")
    assert records == {"sahool_cache.routing: it broke": 3}
    assert capsys.readouterr().err == ""
