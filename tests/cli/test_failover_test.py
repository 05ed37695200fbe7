"""
The failover test against real groups: what it measures, what it refuses, and that it takes its
fault back.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from sahool_cache.address import Address
from sahool_cache.cli import main
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.failover import readiness
from sahool_cache.cli.failover.fault import Crash, filled
from sahool_cache.cli.failover.readiness import Master, ready_master
from sahool_cache.cli.failover.report import Bounds, report
from sahool_cache.cli.failover.trial import Outcome
from sahool_cache.cli.traffic import traffic
from sahool_cache.cli.traffic.ledger import Kind
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.embedded.binary import find_server
from tests.cli.conftest import Cli, environment

QUICK = {"info-period": 1000, "publish-period": 500}
"""What lets sentinels demote an old master after 3 s instead of 10 s."""

ANY = Bounds(max_outage=None, max_errors=None, max_lost=None)
SEEN = Outcome(
    old=Address("h", 1),
    new=Address("h", 2),
    new_master_after=1.25,
    whole_after=4.0,
    write_pause=1.3,
    read_pause=0.1,
    calls=1000,
    errors={"OutcomeUnknownError": 3},
    writes=600,
    lost=2,
    doubled=0,
    complaint=None,
    incidents=(),
)


class Crashes:
    """
    Commands that crash a server of the group and start it again, for real.
    """

    def __init__(self, group: EmbeddedSentinel, folder: Path) -> None:
        nodes = (group.master, *group.replicas)
        for node in nodes:
            (folder / f"{node.port}.pid").write_text(f"{node.pid}\n")
        self.pids = folder
        places = nodes[0].log.parent.parent
        self.stop = f"kill -9 $(cat {folder}/{{port}}.pid)"
        self.start = (
            f"{find_server()} {places}/{{announced_port}}/node.conf --daemonize yes "
            f"--dir {places}/{{port}} --pidfile {folder}/{{port}}.pid"
        )

    def end(self, node: Node) -> None:
        """
        Ends the server that `start` has left, which the group knows nothing of.
        """
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.pids / f"{node.port}.pid").read_text()), signal.SIGKILL)


@contextmanager
def opened(group: EmbeddedSentinel) -> Iterator[EmbeddedSentinel]:
    asyncio.run(group.open())  # a group is bound to no event loop
    try:
        yield group
    finally:
        asyncio.run(group.aclose())


@pytest.fixture(scope="module")
def group() -> Iterator[EmbeddedSentinel]:
    """
    One whose master the tests of this file move to and fro.
    """
    with opened(EmbeddedSentinel(password="s3cret", sentinel_debug=QUICK)) as group:
        yield group


def keys(group: EmbeddedSentinel) -> list[str]:
    reply = asyncio.run(group.command(group.master, "KEYS", "*"))
    assert isinstance(reply, list)
    return [str(key) for key in reply]


def test_a_planned_failover_is_measured_and_leaves_nothing_behind(
    group: EmbeddedSentinel, cli: Cli
) -> None:
    old = group.master
    bounds = ("--max-outage", "20", "--max-errors", "0", "--max-lost", "0")
    done = cli(
        "failover-test", "--yes", "--json", "--seconds", "1", *bounds, settings=group.settings
    )
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["problems"]) == (0, "", [])
    assert (told["old"], told["new"]) == (str(old.address), str(group.master.address))
    assert told["old"] != told["new"]
    assert (told["errors"], told["lost"], told["doubled"]) == ({}, 0, 0)
    assert told["calls"] > told["acknowledged_writes"] > 100
    assert 0 < told["new_master_seconds"] <= told["whole_again_seconds"]
    assert told["longest_pause"]["reads"] > 0
    assert 0 < told["longest_pause"]["writes"] < 20
    assert told["bounds"] == {"max_outage": 20.0, "max_errors": 0, "max_lost": 0}
    assert [each["new"] for each in told["incidents"]] == [told["new"]]
    assert keys(group) == []


def test_an_outage_above_its_bound_fails_and_its_story_is_told(
    group: EmbeddedSentinel, cli: Cli
) -> None:
    done = cli(
        *("failover-test", "--yes", "--seconds", "0.5", "--max-outage", "0"),
        settings=group.settings,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "! " in done.stdout
    assert "s at most without an acknowledged write; allowed: 0 s" in done.stdout
    assert f"failover of {group.settings.master_name}: " in done.stdout
    assert "the client followed the new master" in done.stdout


def test_nothing_is_done_unless_somebody_agrees(group: EmbeddedSentinel, cli: Cli) -> None:
    master = group.master
    done = cli("failover-test", settings=group.settings)
    assert (done.returncode, done.stdout) == (64, "")
    assert f"from {master.address} (SENTINEL FAILOVER). Go on?" in done.stderr
    assert "--yes" in done.stderr
    assert group.master is master


@pytest.mark.parametrize("answer", ["no", "ctrl-c"])
def test_a_no_and_a_ctrl_c_end_it_before_it_begins(
    group: EmbeddedSentinel, tmp_path: Path, answer: str
) -> None:
    master = group.master
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sahool_cache", "failover-test"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=tmp_path,
        env=environment(group.settings),
    )
    os.close(inside)
    said = b""
    while b"Go on? [y/N]" not in said:
        said += os.read(outside, 1000)
    if answer == "no":
        os.write(outside, b"n\n")
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if answer == "ctrl-c":  # again: Python misses one that comes just before it reads
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    process.kill()
    assert process.wait() == 130
    os.close(outside)
    assert group.master is master


def test_a_stop_command_that_fails_is_told_and_start_runs_all_the_same(
    group: EmbeddedSentinel, cli: Cli, tmp_path: Path
) -> None:
    master, started = group.master, tmp_path / "started"
    done = cli(
        *("failover-test", "--yes", "--json", "--seconds", "0.5"),
        *("--stop", "echo no such container {port}; exit 3", "--start", f"touch {started}"),
        settings=group.settings,
    )
    assert done.returncode == 64
    error = f"--stop failed: exit status 3: no such container {master.port}"
    assert json.loads(done.stdout)["error"] == error
    assert started.exists()
    assert group.master is master
    assert keys(group) == []


def test_a_master_that_is_not_replaced_is_down(group: EmbeddedSentinel, cli: Cli) -> None:
    done = cli(
        *("failover-test", "--yes", "--json", "--seconds", "0.5", "--within", "1"),
        *("--stop", "true", "--start", "echo gone; false"),
        settings=group.settings,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["new"], told["lost"]) == (2, None, None)
    assert f"{told['old']} was not replaced" in told["problems"]
    assert "--start failed: exit status 1: gone" in told["problems"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stop", "true"], "--stop and --start go together"),
        (["--start", "true"], "--stop and --start go together"),
        (["--tasks", "4"], "--tasks"),
        (["--rate", "nan"], "--rate"),
        (["--max-errors", "-1"], "--max-errors"),
    ],
)
def test_wrong_words_are_usage_errors(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "redis+sentinel://127.0.0.1:1/m"
    assert main(["failover-test", "--yes", "--url", url, *options]) == 64
    told = capsys.readouterr()
    assert (told.out, said in told.err) == ("", True)


def test_a_crash_is_measured_and_the_old_master_comes_back(cli: Cli, tmp_path: Path) -> None:
    group = EmbeddedSentinel(password="s3cret", sentinel_debug=QUICK)
    with opened(group):
        old, crashes = group.master, Crashes(group, tmp_path)
        try:
            done = cli(
                *("failover-test", "--yes", "--json", "--seconds", "0.5"),
                *("--stop", crashes.stop, "--start", crashes.start),
                settings=group.settings,
                REDIS_COMMAND_TIMEOUT="30",
            )
            told = json.loads(done.stdout)
            assert (done.returncode, told["problems"]) == (0, []), done.stderr
            assert (told["old"], told["new"]) == (str(old.address), str(group.master.address))
            assert told["new_master_seconds"] > 0.9, "down-after is a second"
            assert told["longest_pause"]["writes"] > 0.9
            assert set(told["errors"]) <= {"OutcomeUnknownError"}, "repeatable calls do not fail"
            assert told["doubled"] == 0
            reply = asyncio.run(group.command(old, "INFO", "replication"))
            assert "master_link_status:up" in str(reply)
        finally:
            crashes.end(old)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_stopped_is_started_again_when_the_test_is_ended(
    end: signal.Signals, tmp_path: Path
) -> None:
    group = EmbeddedSentinel(password="s3cret", down_after=2.0)
    with opened(group):
        old, crashes = group.master, Crashes(group, tmp_path)
        stopped = tmp_path / "stopped"
        slow = f"{crashes.stop}; touch {stopped}; sleep 0.5"  # busy when the signal comes
        options = ("--yes", "--seconds", "0.5", "--stop", slow, "--start", crashes.start)
        process = subprocess.Popen(
            [sys.executable, "-m", "sahool_cache", "failover-test", *options],
            cwd=tmp_path,
            env=environment(group.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            deadline = time.monotonic() + 30
            while not stopped.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(end)
            out, _ = process.communicate(timeout=60)
            assert (process.returncode, out) == (130, b"")
            assert asyncio.run(group.command(old, "PING")) == "PONG"
            master = asyncio.run(anyone_is_master(group))
            for key in keys(group):  # where nobody could remove them
                ttl = asyncio.run(group.command(master, "TTL", key))
                assert isinstance(ttl, int)
                assert ttl > 0, key
        finally:
            process.kill()
            crashes.end(old)


@pytest.mark.asyncio
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
async def test_a_stop_that_has_hardly_begun_is_taken_back(tmp_path: Path, steps: int) -> None:
    stopped, started = tmp_path / "stopped", tmp_path / "started"
    crash = Crash(f"touch {stopped}", f"test -e {stopped} && touch {started}")
    beginning = asyncio.create_task(crash.begin())
    for _ in range(steps):
        await asyncio.sleep(0)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert await crash.undo() is None
    assert started.exists()
    started.unlink()
    assert await crash.undo() is None
    assert not started.exists(), "once"


@pytest.mark.asyncio
async def test_an_end_that_is_asked_for_while_the_master_starts_comes_afterwards(
    tmp_path: Path,
) -> None:
    started, goes_on = tmp_path / "started", asyncio.Event()
    crash = Crash("true", f"kill -INT $PPID; sleep 0.1; touch {started}")
    await crash.begin()

    async def course() -> None:
        await crash.undo()
        assert started.exists()
        await asyncio.sleep(60)
        goes_on.set()

    task = asyncio.create_task(course())
    before = signal.signal(signal.SIGINT, lambda *_: task.cancel())
    try:
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        signal.signal(signal.SIGINT, before)
    assert started.exists()
    assert not goes_on.is_set()


async def anyone_is_master(group: EmbeddedSentinel) -> Node:
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                reply = await group.command(group.master, "ROLE")
                if isinstance(reply, list) and reply[0] == "master":
                    return group.master
            await asyncio.sleep(0.1)


class Waiting:
    """
    A client whose calls wait for a master.
    """

    title = prefix = "waiting"

    def __init__(self) -> None:
        self.master = asyncio.Event()
        self.made = 0

    async def open(self) -> None:
        """
        Has nothing to do.
        """

    async def call(self, kind: Kind, number: int) -> None:
        """
        Waits.
        """
        await self.master.wait()
        self.made += 1

    async def aclose(self) -> None:
        """
        Has nothing to do.
        """


@pytest.mark.asyncio
async def test_a_call_that_was_given_up_makes_no_key_after_they_were_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "LAST_CALLS", 0.1)
    client = Waiting()
    calls = Traffic(client, Random(1))
    calls.start()
    await asyncio.sleep(2 * traffic.PACE)
    await calls.stop()
    client.master.set()
    await asyncio.sleep(0.1)  # the keys are removed now
    await calls.aclose()
    assert len(calls.ledger.calls) > 10
    assert client.made == 0


def test_a_measurement_is_told_where_the_writes_cannot_be_looked_up(cli: Cli) -> None:
    rights = "on >s3cret ~* &* +@all -smismember"
    group = EmbeddedSentinel(password="s3cret", sentinel_debug=QUICK)
    with opened(group):
        for node in (group.master, *group.replicas):
            asyncio.run(group.command(node, "ACL", "SETUSER", "default", *rights.split()))
        done = cli("failover-test", "--yes", "--json", "--seconds", "0.5", settings=group.settings)
        told = json.loads(done.stdout)
        assert (done.returncode, told["lost"], told["doubled"]) == (1, None, None)
        assert told["problems"] == ["what was written could not be counted"]
        assert "smismember" in done.stderr
        assert told["new"] == str(group.master.address)


def test_a_group_that_could_not_fail_over_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_WITHIN", 1.0)
    settings = {"replica-priority": 0}
    group = EmbeddedSentinel(sentinel_debug=QUICK, server_config=settings, down_after=30)

    def refusal(status: ExitStatus) -> str:
        with pytest.raises(Refused) as raised:
            asyncio.run(ready_master(group.settings))
        assert raised.value.status is status
        return str(raised.value)

    with opened(group):
        assert "no replica that may be promoted" in refusal(ExitStatus.DEGRADED)
        asyncio.run(group.kill(group.replicas[0]))
        assert f"replica {group.replicas[0].address} is not fit" in refusal(ExitStatus.DEGRADED)
        for node in (group.master, *group.sentinels):
            asyncio.run(group.kill(node))
        assert "master is not known" in refusal(ExitStatus.DOWN)


def test_a_group_that_the_sentinels_do_not_know_is_called_that(
    group: EmbeddedSentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_WITHIN", 1.0)
    settings = group.settings.model_copy(update={"master_name": "nobody"})
    with pytest.raises(Refused, match="monitors no master named 'nobody'") as raised:
        asyncio.run(ready_master(settings))
    assert raised.value.status is ExitStatus.DOWN


def test_placeholders_are_words_of_their_own_to_the_shell() -> None:
    evil = Address("h; rm -rf x", 6379)
    master = Master(name="m", address=Address("127.0.0.1", 6380), announced=evil)
    command = "stop {host} {port} {announced_host}:{announced_port} '{{.Names}}' ${HOME}"
    assert filled(command, master) == (
        "stop 127.0.0.1 6380 'h; rm -rf x':6379 '{{.Names}}' ${HOME}"
    )


@pytest.mark.parametrize(
    ("outcome", "bounds", "status", "problem"),
    [
        (SEEN, ANY, 0, None),
        (SEEN, replace(ANY, max_errors=2), 1, "3 of 1,000 calls failed: 3 OutcomeUnknownError"),
        (SEEN, replace(ANY, max_errors=3), 0, None),
        (SEEN, replace(ANY, max_lost=1), 1, "2 of 600 acknowledged writes were lost; allowed: 1"),
        (SEEN, replace(ANY, max_outage=1.2), 1, "1.30 s at most without an acknowledged write"),
        (replace(SEEN, read_pause=9.0), replace(ANY, max_outage=2.0), 1, "an answered read"),
        (replace(SEEN, doubled=1), ANY, 1, "1 increments ran twice; allowed: 0"),
        (replace(SEEN, whole_after=None), ANY, 1, "not whole again"),
        (replace(SEEN, complaint="--start failed: x"), ANY, 1, "--start failed: x"),
        (replace(SEEN, new=None, new_master_after=None), ANY, 2, "h:1 was not replaced"),
    ],
)
def test_the_verdict_is_the_worst_finding(
    outcome: Outcome, bounds: Bounds, status: int, problem: str | None
) -> None:
    answer = report(outcome, bounds)
    assert answer.status == status
    if problem is None:
        assert answer.document["problems"] == []
    else:
        assert any(problem in each for each in answer.document["problems"])
