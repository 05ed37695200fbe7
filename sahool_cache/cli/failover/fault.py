"""
What makes the group fail over: the sentinels are told to, or the master is stopped.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.failover.readiness import Master
from sahool_cache.cli.servers import Servers, Unanswered

__all__ = ["ENDS", "Crash", "Fault", "Planned", "filled", "handled"]

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""What ends a test as Ctrl-C does: a kill, and a terminal that is closed."""

_COMMAND_WITHIN = 60.0
"""Seconds that a command of the user may take: `docker stop` waits 20 s for a server by itself."""

_AGREE_WITHIN = 10.0
_AGAIN = ("INPROG", "NOGOODSLAVE")
"""Refusals of a sentinel that has not noticed yet how well the group is."""

_TOLD = 2000


class Fault(Protocol):
    """
    A fault, and its remedy.
    """

    async def begin(self) -> None:
        """
        Does it. Raises `Refused` where it did not come to pass.
        """

    async def undo(self) -> str | None:
        """
        Takes it back, whatever became of it; returns what went wrong with that. Repeatable.
        """


class Planned:
    """
    ``SENTINEL FAILOVER``: the sentinels promote a replica, and the master lives on as one.
    """

    def __init__(self, servers: Servers, sentinels: Iterable[Address], name: str) -> None:
        self._servers = servers
        self._sentinels = tuple(sentinels)
        self._name = name

    async def begin(self) -> None:
        """
        Asks one sentinel after another until one agrees.
        """
        said: dict[Address, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(_AGREE_WITHIN):
                while not said or any(word in text for text in said.values() for word in _AGAIN):
                    for sentinel in self._sentinels:
                        refusal = await self._ask(sentinel)
                        if refusal is None:
                            return
                        said[sentinel] = refusal
                    await asyncio.sleep(0.1)
        why = "; ".join(f"{sentinel}: {text}" for sentinel, text in said.items())
        raise Refused(f"no sentinel agrees to a failover: {why}", ExitStatus.DEGRADED)

    async def _ask(self, sentinel: Address) -> str | None:
        try:
            (reply,) = await self._servers.ask_sentinel(
                sentinel, ("SENTINEL", "FAILOVER", self._name)
            )
        except Unanswered as error:
            return str(error) or "no answer in time"
        return str(reply) if isinstance(reply, Exception) else None

    async def undo(self) -> None:
        """
        Has nothing to do.
        """


class Crash:
    """
    Two shell commands, one that stops the master and one that starts it again.
    """

    def __init__(self, stop: str, start: str) -> None:
        self._stop = stop
        self._start = start
        self._stopping: asyncio.Task[str | None] | None = None

    async def begin(self) -> None:
        """
        Runs the first; it may not fail.
        """
        self._stopping = asyncio.create_task(_complaint(self._stop), name="failover-test:stop")
        # Shielded: a command that has begun ends before the other one begins.
        if complaint := await asyncio.shield(self._stopping):
            raise Refused(f"--stop failed: {complaint}")

    async def undo(self) -> str | None:
        """
        Runs the second, when the first has ended: not even Ctrl-C comes between.
        """
        if self._stopping is None:
            return None
        with _uninterrupted():
            await self._stopping
            complaint = await _complaint(self._start)
            self._stopping = None
        return f"--start failed: {complaint}" if complaint else None


def filled(command: str, master: Master) -> str:
    """
    The command with its placeholders replaced, each a word of its own to the shell.
    """
    words = {
        "{host}": master.address.host,
        "{port}": str(master.address.port),
        "{announced_host}": master.announced.host,
        "{announced_port}": str(master.announced.port),
    }
    for placeholder, word in words.items():
        command = command.replace(placeholder, shlex.quote(word))
    return command


async def _complaint(command: str) -> str | None:
    """
    Runs a shell command to its end; what went wrong. It is killed when it takes too long, and has a
    session of its own: a Ctrl-C at the terminal does not reach it.
    """
    try:
        # A file, not a pipe: a server that the command leaves behind would hold a pipe open.
        with tempfile.TemporaryFile() as output:
            process = await asyncio.create_subprocess_shell(
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            status = await _ended(process)
            output.seek(0)
            said = output.read().decode("utf-8", "replace").strip()[-_TOLD:]
    except OSError as error:
        return str(error)
    if status is None:
        return f"it took more than {_COMMAND_WITHIN:.0f} s"
    return f"exit status {status}" + (f": {said}" if said else "") if status else None


async def _ended(process: asyncio.subprocess.Process) -> int | None:
    try:
        async with asyncio.timeout(_COMMAND_WITHIN):
            return await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return None


@contextmanager
def handled(
    signals: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """
    Calls `handler` for these signals meanwhile; one that is ignored stays so, as `nohup` wants.
    """
    before = {
        each: signal.signal(each, handler)
        for each in signals
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """
    Whoever ends the test now has to wait; a test that goes on is ended afterwards.
    """
    heard: list[int] = []
    # Functions, not SIG_IGN: what is ignored would be ignored by the commands, too.
    with handled((signal.SIGINT, *ENDS), lambda number, _: heard.append(number)):
        yield
    task = asyncio.current_task()
    if heard and task is not None and not task.cancelling():
        signal.raise_signal(signal.SIGINT)
