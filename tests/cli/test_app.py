"""
What holds for every command: the help, pipes that are closed, questions.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

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
