"""
What a program in C reaches on one core, as far as it can be compared: redis-benchmark.
"""

from __future__ import annotations

import csv
import resource
import shutil
import subprocess

from tests.benchmarks.clients import AbsentError
from tests.benchmarks.model import Cell, Result, Target
from tests.benchmarks.works import key_names

__all__ = ["REFERENCE", "play_reference"]

REFERENCE = "redis-benchmark"

_DEPTHS = {"get-1": 1, "get-100": 100, "get-1000": 1000, "pipeline-1000": 1000, "mget-100": 1}
_RATES = {1: 12_000, 100: 600_000, 1000: 900_000}
"""Commands per second, roughly: it is told how many to do, not for how long."""


def play_reference(cell: Cell, target: Target) -> Result:
    """
    The same commands over one connection, as many on their way at once as the work has tasks.
    """
    program = shutil.which(REFERENCE)
    if program is None:
        raise AbsentError(f"{REFERENCE} is not installed")
    depth = _DEPTHS[cell.work]
    count = max(depth, int(_RATES[depth] * cell.seconds))
    host, port = target.master
    place = ("-h", host, "-p", str(port), "-c", "1", "-P", str(depth), "-n", str(count), "--csv")
    used = _cpu()
    done = subprocess.run(
        (program, *place, *_command(cell)), capture_output=True, text=True, check=True
    )
    (line,) = csv.DictReader(done.stdout.splitlines())
    return Result(
        cell=cell,
        commands=count,
        seconds=count / float(line["rps"]),
        cpu=_cpu() - used,
        p50=1000 * float(line["p50_latency_ms"]),
        p99=1000 * float(line["p99_latency_ms"]),
    )


def _command(cell: Cell) -> list[str]:
    keys = key_names(cell.value_bytes)
    if cell.work == "pipeline-1000":
        return ["SET", keys[0], "x" * cell.value_bytes]
    if cell.work == "mget-100":
        return ["MGET", *keys[:100]]
    return ["GET", keys[0]]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
