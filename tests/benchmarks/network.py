"""
The table beyond loopback: over TLS, and through a proxy that makes every round trip longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product

import msgspec

from sahool_cache.address import Address
from tests.benchmarks.bars import FIGURES
from tests.benchmarks.model import BASELINE, OURS, Cell, Result, Target
from tests.benchmarks.plan import MAIN, Timing, group_of
from tests.benchmarks.processes import SERVER, pinned
from tests.benchmarks.ratios import by_key, median_of, paired
from tests.benchmarks.report import Line, number
from tests.benchmarks.runner import ROOT

__all__ = ["DELAYS", "HEAD", "cells", "farther", "network_lines"]

DELAYS = (0.0, 0.0005, 0.002)
"""Seconds that a round trip takes longer. Without delay there is still the proxy, which costs."""


_SHOWN = {"rate": "commands/s", "CPU per command in us": "CPU us", "p50": "p50 us", "p99": "p99 us"}

HEAD: Line = (
    *("work", "place", "ratio"),
    *(f"{client} {name}" for name in _SHOWN.values() for client in (OURS, BASELINE)),
)


def cells(timing: Timing) -> list[list[Cell]]:
    """
    The main works by ours and by the baseline.
    """
    return [group_of(timing, work, "asyncio", (BASELINE, OURS)) for work in MAIN]


def network_lines(places: Mapping[str, Sequence[Result]]) -> list[Line]:
    """
    One line per work and place: the ratio of the rates, then the figures of both.
    """
    found = {place: by_key(results) for place, results in places.items()}
    lines = []
    for work, (place, results) in product(MAIN, found.items()):
        ours, theirs = (results.get((work, each, "asyncio"), {}) for each in (OURS, BASELINE))
        ratio = paired(ours, theirs, FIGURES["rate"])
        figures = (
            number(median_of(client, FIGURES[name])) for name in _SHOWN for client in (ours, theirs)
        )
        if ratio is not None:
            lines.append((work, place, str(ratio), *figures))
    return lines


@contextmanager
def farther(target: Target, seconds: float) -> Iterator[Target]:
    """
    That group as it is from a place with round trips of `seconds` more. Sentinels stay near.

    The proxy is a process on the servers' core, for which they wait in turn: it takes its time for
    each chunk that comes, so a client which writes every command alone pays for that, too.
    """
    servers = [str(Address(*each)) for each in (target.master, *target.replicas)]
    command = [sys.executable, "-m", "tests.benchmarks.delay", str(seconds), *servers]
    with pinned(SERVER):
        proxy = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    with proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        try:
            through = msgspec.structs.replace(target, ways=json.loads(proxy.stdout.readline()))
            yield msgspec.structs.replace(
                through,
                master=through.reached(Address(*target.master)),
                other_pids=(*target.other_pids, proxy.pid),
            )
        finally:
            proxy.stdin.close()  # it ends then
