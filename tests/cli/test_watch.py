"""
Watching a group: what is told of a failover, at a terminal, in a pipe and as one document.
"""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from sahool_cache import events
from sahool_cache.address import Address
from sahool_cache.cli.watch.course import Course, Entry
from sahool_cache.cli.watch.moment import Moment, Row
from sahool_cache.cli.watch.picture import MINIMUM_SIZE, picture
from sahool_cache.cli.watch.words import words
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli, environment
from tests.cli.terminal import Terminal

MASTER, REPLICA, DEAD = (Address("127.0.0.1", port) for port in (15001, 15002, 15003))


@contextmanager
def piped(group: EmbeddedSentinel, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "sahool_cache", "watch"],
        cwd=cwd,
        env=environment(group.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """
    The lines up to one that has these words; the test's own limit of time is the deadline.
    """
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    pytest.fail(f"{words!r} is not in {lines}, {process.communicate()[1]}")


@pytest.mark.asyncio
async def test_a_failover_is_told_line_by_line_and_at_a_terminal(tmp_path: Path) -> None:
    async with EmbeddedSentinel(down_after=2) as group:
        old = group.master
        fit = ", ".join(map(str, sorted(each.address for each in group.replicas)))
        with (
            piped(group, tmp_path) as lines,
            Terminal("watch", cwd=tmp_path, settings=group.settings) as tty,
        ):
            told = await asyncio.to_thread(read_until, lines, f"fit to be read: {fit}")
            assert any(f"the master is {old.address} (epoch 0)" in line for line in told)
            await asyncio.to_thread(tty.wait_for, "★")
            await asyncio.to_thread(tty.wait_for, "fit to be read")

            await group.kill(old)
            new = await group.wait_for_failover(old)
            told = await asyncio.to_thread(read_until, lines, "failover of sahool-master: ")
            arrow = f": {old.address} -> {new.address} (epoch "
            assert any("  failover after " in line and arrow in line for line in told)
            assert any(f"says +odown of {old.address}" in line for line in told)
            assert "s without a master" in told[-1]
            assert await asyncio.to_thread(interrupted, lines) == (130, "")

            await asyncio.to_thread(tty.wait_for, "1 failover seen")
            await asyncio.to_thread(tty.wait_for, "failover of sahool-master")
            before = tty.size
            tty.resize(40, 120)
            await asyncio.to_thread(tty.wait_for, "─" * 100, after=before)
            tty.interrupt()
            assert await asyncio.to_thread(tty.ended) == 130
            await asyncio.to_thread(tty.wait_for, "outcomes unknown\r\n")
            check_left_clean(tty)


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    """
    The exit status after Ctrl-C, and what was written to stderr.
    """
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)
    return process.returncode, err


def check_left_clean(tty: Terminal) -> None:
    output = tty.output
    assert output.count("\x1b[?1049h") == output.count("\x1b[?1049l") == 1
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l"), "the cursor is shown again"
    assert tty.mode_now == tty.mode
    after = output[output.index("\x1b[?1049l") :]
    assert "failover of sahool-master: " in after
    assert "Traceback" not in output


def test_json_is_one_document_at_the_end(calm_group: EmbeddedSentinel, here: Cli) -> None:
    done = here("watch", "--json", "--seconds", "3", settings=calm_group.settings)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["status"]) == (0, "", "healthy")
    assert found["seconds"] >= 3
    master = str(calm_group.master.address)
    (switch,) = (each for each in found["events"] if each["kind"] == "MasterChanged")
    assert (switch["old"], switch["new"], switch["epoch"]) == (None, master, 0)
    rotations = [each for each in found["events"] if each["kind"] == "RotationChanged"]
    replicas = sorted(str(each.address) for each in calm_group.replicas)
    assert sorted(rotations[-1]["in_rotation"]) == replicas
    assert found["topology"]["master"] == master
    assert sorted(found["topology"]["replicas"]) == replicas
    assert (found["incidents"], found["events_dropped"]) == ([], 0)


@pytest.mark.asyncio
async def test_a_lost_group_is_watched_on(tmp_path: Path, here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        with piped(group, tmp_path) as process:
            await asyncio.to_thread(read_until, process, "fit to be read")
            for node in (*group.replicas, *group.sentinels, group.master):
                await group.kill(node)
                said = "does not answer" if node in group.sentinels else "cannot be used"
                await asyncio.to_thread(read_until, process, f"{node.address} {said}")
            assert await asyncio.to_thread(interrupted, process) == (130, "")
        done = here("watch", "--seconds", "0.5", settings=group.settings)
    assert (done.returncode, done.stderr) == (2, "")
    assert "; now unhealthy: no master 'sahool-master' is known" in done.stdout


def test_a_reader_that_leaves_ends_it_quietly(calm_group: EmbeddedSentinel, tmp_path: Path) -> None:
    with piped(calm_group, tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(40) == 141
        assert process.stderr.read() == ""


def test_sigterm_leaves_the_terminal_clean(calm_group: EmbeddedSentinel, tmp_path: Path) -> None:
    with Terminal("watch", cwd=tmp_path, settings=calm_group.settings) as tty:
        tty.wait_for("★")
        tty.process.terminate()
        assert tty.ended() == 143
        tty.wait_for("\x1b[?1049l")
        assert tty.output.rindex("\x1b[?25h") > tty.output.rindex("\x1b[?25l")
        assert "Traceback" not in tty.output
        assert tty.mode_now == tty.mode


def test_a_terminal_that_is_too_small_gets_lines(
    calm_group: EmbeddedSentinel, tmp_path: Path
) -> None:
    options = ("watch", "--seconds", "0.5")
    with Terminal(*options, cwd=tmp_path, settings=calm_group.settings, lines=8) as tty:
        tty.ended()
        tty.wait_for("watched for ")
        assert "\x1b[?1049h" not in tty.output


def test_json_needs_an_end_and_is_no_text(here: Cli, calm_group: EmbeddedSentinel) -> None:
    for arguments, said in (
        (("--json",), "say when, with --seconds"),
        (("--json", "--plain", "--seconds", "1"), "exclude one another"),
        (("--seconds", "0"), "--seconds"),
    ):
        done = here("watch", *arguments, settings=calm_group.settings)
        assert (done.returncode, done.stdout) == (64, "")
        assert said in done.stderr


def now(*, rows: int = 3, entries: int = 50) -> Moment:
    sample = tuple(
        Row(
            address=Address("192.168.100.100", 16379 + number),
            is_master=number == 0,
            connected=number != 2,
            in_rotation=number == 1,
            lag=None if number == 0 else 12.3,
            rtt=0.0123,
            in_flight=12_345,
            breaker="half_open",
            rate=123_456,
        )
        for number in range(rows)
    )
    log = tuple(
        Entry(
            at=number,
            time=datetime.now(UTC),
            text=f"entry {number}" + " long" * 30,
            tone="news",
            event=None,
        )
        for number in range(entries)
    )
    return Moment(
        name="sahool-master",
        elapsed=34.0,
        epoch=7,
        provisional=True,
        usable=False,
        held="+odown",
        why=None,
        rows=sample,
        sentinels=(2, 3),
        quorum=2,
        waiting=3,
        failovers=1,
        entries=log,
    )


@pytest.mark.parametrize("size", [(80, 24), MINIMUM_SIZE, (200, 60), (30, 5)])
def test_the_picture_fits_its_terminal(size: tuple[int, int]) -> None:
    width, height = size
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(picture(now(), width=width, height=height))
    lines = out.getvalue().rstrip("\n").splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = out.getvalue()
    assert "commands are held: +odown" in text
    if width >= 80:
        for part in ("epoch 7, to be confirmed", "1 failover seen", "2 of 3 sentinels", "entry 49"):
            assert part in text
        for row in (
            "│ ★ 192.168.100.100:16379 master ",
            "│ ● 192.168.100.100:16380 replica ",
            "│ ✗ 192.168.100.100:16381 down ",
            " 12.3 s 12.3 ms 123k 12345 half-open ",
        ):
            assert row in " ".join(text.split())


def test_many_servers_leave_room_for_the_events() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24)
    console.print(picture(now(rows=30), width=80, height=24))
    assert "entry 49" in out.getvalue()


@pytest.mark.parametrize(
    ("event", "told", "tone"),
    [
        (
            events.MasterChanged(
                at=0, old=DEAD, new=MASTER, epoch=1, provisional=True, outage=1.25
            ),
            f"failover after 1.250 s: {DEAD} -> {MASTER} (epoch 1, to be confirmed)",
            "good",
        ),
        (
            events.MasterChanged(
                at=0, old=DEAD, new=MASTER, epoch=1, provisional=False, outage=None
            ),
            f"failover without a pause: {DEAD} -> {MASTER} (epoch 1)",
            "good",
        ),
        (
            events.FenceRaised(at=0, master=MASTER, why="+odown"),
            f"commands to {MASTER} are held (+odown)",
            "trouble",
        ),
        (events.NodeQuiet(at=0, node=REPLICA), f"{REPLICA} owes replies and is silent", "trouble"),
        (events.RotationChanged(at=0, in_rotation=()), "no replica is fit to be read", "trouble"),
        (
            events.BreakerChanged(at=0, node=MASTER, state="half_open"),
            f"the breaker of {MASTER} is half-open",
            "trouble",
        ),
        (
            events.RightMissing(at=0, right="INFO", costs="lag"),
            "the right to INFO is missing: lag",
            "trouble",
        ),
        (
            events.SlowCommand(at=0, command="PING", seconds=1.0),
            "SlowCommand command=PING seconds=1.0 waited=0.0",
            "news",
        ),
    ],
)
def test_events_are_told_in_words(event: events.Event, told: str, tone: str) -> None:
    assert words(event) == (told, tone)


def test_a_course_is_bounded_and_knows_why_commands_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sahool_cache.cli.watch.course.KEPT", 2)
    heard: list[Entry] = []
    course = Course(lambda: 0.0, heard.append)
    course.take_event(events.FenceRaised(at=1.0, master=MASTER, why="+odown"))
    assert course.held == "+odown"
    course.take_event(events.FenceLifted(at=2.0, why="a\x1b[2J"))
    assert course.held is None
    course.take_event(events.NodeQuiet(at=3.0, node=MASTER))
    assert [each.at for each in heard] == [1.0, 2.0, 3.0]
    assert heard[1].line.endswith("commands flow again (a\\x1b[2J)")
    told = course.as_data()
    assert told["events_dropped"] == 1
    assert told["events"] == [
        {"at": 2.0, "kind": "FenceLifted", "why": "a\x1b[2J"},
        {"at": 3.0, "kind": "NodeQuiet", "node": str(MASTER)},
    ]


def test_a_long_outage_is_told_once_with_its_reason() -> None:
    now, heard = 0.0, list[Entry]()
    course = Course(lambda: now, heard.append)
    for second in range(10):
        now = float(second)
        course.take_reason("nobody answers")
    course.take_reason(None)
    for second in range(10, 14):
        now = float(second)
        course.take_reason("again")
    assert [(each.at, each.text) for each in heard] == [
        (3.0, "the master cannot be used: nobody answers"),
        (13.0, "the master cannot be used: again"),
    ]
    assert course.why == "again"
    assert course.as_data()["events"] == []
