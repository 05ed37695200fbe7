"""
Which core a process runs on, and what processes have cost. Linux tells it; elsewhere it is None.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CLIENT",
    "SERVER",
    "Clocks",
    "bound_core",
    "cores",
    "cpu_of",
    "peak_resident",
    "pinned",
    "read_clocks",
    "resident",
]

CLIENT, SERVER = 0, 1
"""Places in the list of cores that we may use: the client's, and that of all servers."""

_PROC = Path("/proc")


def cores() -> list[int]:
    """
    The cores that this process may run on; none where that cannot be chosen.
    """
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


def bound_core() -> int | None:
    """
    The one core that this process is bound to, if it is.
    """
    mine = cores()
    return mine[0] if len(mine) == 1 else None


@contextmanager
def pinned(place: int) -> Iterator[int | None]:
    """
    What is started inside runs on that core, and so do its threads and children; the core is the
    value. Does nothing where there is no choice.
    """
    mine = cores()
    if sys.platform != "linux" or len(mine) < 2:
        yield None
        return
    core = mine[place]
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, mine)


def cpu_of(pids: Iterable[int]) -> float | None:
    """
    Seconds that these processes have run so far, their kernel's time among them.
    """
    nanoseconds = 0
    for pid in pids:
        tasks = _PROC / str(pid) / "task"
        try:
            for task in tasks.iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        except OSError:  # another system, or the process has ended
            return None
    return nanoseconds / 1e9


def resident() -> int:
    """
    KiB of memory that this process holds now.
    """
    try:
        pages = int((_PROC / "self" / "statm").read_text().split()[1])
    except OSError:
        return peak_resident()
    return pages * resource.getpagesize() // 1024


def peak_resident() -> int:
    """
    KiB of memory that this process held at most.
    """
    try:
        # Not `ru_maxrss`, which on Linux begins with what the parent held when it forked.
        status = (_PROC / "self" / "status").read_text()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
    return int(status.partition("VmHWM:")[2].split()[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """
    Seconds of CPU time so far: ours, the servers', and all that the machine has spent.
    """

    own: float
    master: float | None
    replicas: float | None
    others: float | None
    machine: float | None

    def foreign(self, before: Clocks) -> float | None:
        """
        What everybody else has spent since `before`; the machine counts in hundredths of a second.
        """
        spent = 0.0
        for name in ("own", "master", "replicas", "others", "machine"):
            now, then = getattr(self, name), getattr(before, name)
            if now is None or then is None:
                return None
            spent += now - then if name == "machine" else then - now
        return max(0.0, spent)


def read_clocks(master: int, replicas: Iterable[int], others: Iterable[int]) -> Clocks:
    """
    All clocks now.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Clocks(
        own=used.ru_utime + used.ru_stime,
        master=cpu_of([master] if master else ()),
        replicas=cpu_of(replicas),
        others=cpu_of(others),
        machine=_machine(),
    )


def _machine() -> float | None:
    try:
        first = (_PROC / "stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, first[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
