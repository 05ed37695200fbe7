"""
Holds the processes and the directory of one group, and lets neither outlive this process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["Guard"]

# PR_SET_PDEATHSIG would be shorter and worse: it fires when the *thread* that forked ends, it is
# lost on macOS, and it needs `preexec_fn`, which can deadlock where there are threads. Here the
# kernel closes our end of a pipe however we die, and a shell at the other end kills its own
# process group, in which every server was started. A group has no list of pids that could grow
# stale, SIGKILL reaches stopped members too, and Ctrl-C in a terminal does not reach the servers.
# HUP must be ignored: when we die while a member is stopped, the kernel sends it to the group.
_WATCH = "trap '' HUP INT TERM; read -r _; rm -rf -- \"$1\"; kill -KILL 0"


class Guard:
    """
    A directory and a process group that end with `close`, or with this process.
    """

    __slots__ = ("__weakref__", "_children", "_shell", "directory")

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sahool-cache-"))
        self._children: list[subprocess.Popen[bytes]] = []
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            process_group=0,
        )
        _guards.add(self)

    def spawn(
        self, command: Sequence[str], *, directory: Path, log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """
        Starts a process inside the group; its output goes to `log`.
        """
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            process_group=self._shell.pid,
        )
        self._children.append(child)
        return child

    def close(self) -> None:
        """
        Kills and reaps every process and removes the directory; may be called again.
        """
        # Synchronous on purpose: it takes milliseconds, and no cancellation can interrupt it.
        if self._shell.returncode is None:
            # Not reaped yet, so the group's number cannot belong to anybody else. macOS refuses
            # when all members are dead.
            with suppress(PermissionError):
                os.killpg(self._shell.pid, signal.SIGKILL)
        for child in (*self._children, self._shell):
            child.kill()
            child.wait()
        self._children.clear()
        self._let_go()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _let_go(self) -> None:
        if self._shell.stdin is not None:
            self._shell.stdin.close()


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def _let_go_in_fork() -> None:
    # A forked child that kept the pipe open would hide our death from the shell.
    for guard in tuple(_guards):
        guard._let_go()  # noqa: SLF001


os.register_at_fork(after_in_child=_let_go_in_fork)
