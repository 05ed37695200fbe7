"""
A command at a terminal of its own, as a person has it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sahool_cache import RedisSettings
from tests.cli.conftest import environment

__all__ = ["Terminal"]


class Terminal:
    """
    Runs ``sahool-cache`` on a pseudo-terminal; what is left of it ends with the ``with`` block.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        settings: RedisSettings | None = None,
        lines: int = 24,
        columns: int = 80,
        **variables: str,
    ) -> None:
        left_out = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_")
        told = environment(settings).items()
        env = {name: value for name, value in told if not name.startswith(left_out)}
        env |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
        self._ours, self._theirs = pty.openpty()
        self.resize(lines, columns)
        self.mode: list[Any] = termios.tcgetattr(self._theirs)
        self._output = bytearray()
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sahool_cache", *arguments],
            cwd=cwd,
            env=env | variables,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        self._reader.join(10)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 65536)
            except OSError:  # nobody holds the other end any more
                return
            with self._news:
                self._output += chunk
                self._news.notify_all()

    @property
    def output(self) -> str:
        """
        Everything that was written so far.
        """
        with self._news:
            return self._output.decode("utf-8", "replace")

    def wait_for(self, text: str, *, after: int = 0, timeout: float = 40.0) -> int:
        """
        Returns where the output goes on after `text`, once that has been written after `after`.
        """
        with self._news:
            found = self._news.wait_for(
                lambda: self._output.find(text.encode(), after) + 1, timeout=timeout
            )
            assert found, f"{text!r} is not in {bytes(self._output[after:])!r}"
            return found - 1 + len(text.encode())

    @property
    def size(self) -> int:
        """
        How many bytes were written so far.
        """
        with self._news:
            return len(self._output)

    def resize(self, lines: int, columns: int) -> None:
        """
        Makes the terminal this large.
        """
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        """
        Types it.
        """
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """
        Sends what Ctrl-C sends.
        """
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """
        Waits for the end, and returns the exit status.
        """
        return self.process.wait(40)

    @property
    def mode_now(self) -> list[Any]:
        """
        The modes of the terminal as they are; `mode` is how they were.
        """
        return termios.tcgetattr(self._theirs)
