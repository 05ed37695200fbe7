"""
Made-up results, for the tests of what is done with real ones.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.model import Cell, Loop, Result
from tests.benchmarks.works import WORKS

__all__ = ["made"]


def made(
    work: str, client: str, rate: float, *, loop: Loop = "asyncio", rep: int = 0, **more: Any
) -> Result:
    """
    A result of one second.
    """
    cell = Cell(work=work, client=client, loop=loop, tasks=WORKS[work].tasks)
    figures = {"commands": int(rate), "seconds": 1.0, "cpu": 1.0, "p50": 10.0, "p99": 20.0}
    return Result(cell=cell, rep=rep, **(figures | more))
