"""
What holds for every command: the help, pipes that are closed, questions.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sahool_cache.cli.app import COMMANDS
from tests.cli.conftest import Cli
from tests.house import ROOT


def test_the_help_has_a_line_to_each_command_and_fits_80_columns(here: Cli) -> None:
    done = here("--help", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for name in COMMANDS:
        assert sum(line.startswith(f"│ {name} ") for line in lines) == 1


def test_a_reader_that_leaves_early_ends_a_command_quietly() -> None:
    unreachable = "redis+sentinel://127.0.0.1:1/nobody"
    health = ["health", "--within", "0.1", "--url", unreachable]  # rich has its own way to end
    for arguments in (["--help"], ["explain"], health):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "sahool_cache", *arguments],
            cwd=ROOT,
            input=b"",
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b""), arguments


def test_ctrl_c_at_a_question_within_an_event_loop_is_an_answer() -> None:
    code = (
        "import asyncio, typer\n"
        "from sahool_cache.cli.answer import ask\n"
        "async def work():\n"
        "    ask('Do it?', yes=False)\n"
        "try:\n"
        "    asyncio.run(work())\n"
        "except typer.Abort:\n"
        "    print('aborted')\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    os.close(theirs)
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        said = b""
        while b"Do it?" not in said:
            said += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert out == b"aborted\n"
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_help_of_a_flag_names_no_value(here: Cli) -> None:
    assert "<bool>" not in here("set", "--help", COLUMNS="100").stdout


def run(arguments: str, redirected: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """
    As a shell starts it, with what it does to the three streams.
    """
    return subprocess.run(
        ["/bin/sh", "-c", f'"$PYTHON" -m sahool_cache {arguments} {redirected}'],
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable} | variables,
        capture_output=True,
        timeout=60,
        check=False,
    )


NOBODY = "health --within 0.1 --url redis+sentinel://127.0.0.1:1/nobody"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [NOBODY, f"{NOBODY} --json"])
def test_an_answer_that_cannot_be_written_is_no_verdict_about_redis(arguments: str) -> None:
    done = run(arguments, ">/dev/full")
    assert done.returncode == 74
    assert done.stderr == b"sahool-cache: [Errno 28] No space left on device\n"


def test_streams_that_are_closed_leave_the_status() -> None:
    assert run(NOBODY, "<&- >&- 2>&-").returncode == 2


def test_what_belongs_to_a_closed_stderr_is_not_written_to_stdout() -> None:
    assert run("keys --nonsense", "2>&-").stdout == b""


def test_a_narrow_encoding_is_widened() -> None:
    done = run(NOBODY, "", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout[:12]) == (2, "✗ unhealthy".encode()[:12])
