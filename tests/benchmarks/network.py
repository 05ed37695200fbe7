"""
The table beyond loopback: over TLS, and through a proxy that makes every round trip longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from sahool_cache.address import Address
from tests.benchmarks.model import BASELINE, OURS, Cell, Target
from tests.benchmarks.plan import MAIN, Timing, group_of
from tests.benchmarks.processes import SERVER, pinned
from tests.benchmarks.runner import ROOT

__all__ = ["DELAYS", "cells", "farther"]

DELAYS = (0.0, 0.0005, 0.002)
"""Seconds that a round trip takes longer. Without delay there is still the proxy, which costs."""


def cells(timing: Timing) -> list[list[Cell]]:
    """
    The main works by ours and by the baseline.
    """
    return [group_of(timing, work, "asyncio", (BASELINE, OURS)) for work in MAIN]


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
