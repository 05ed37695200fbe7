"""
Callers that call one thing after another, and what their calls took.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

__all__ = ["Call", "Figures", "figures", "measure"]

Call = Callable[[int], Awaitable[None]]
"""One call, of a number of its own."""

PAUSE = 0.01
"""Seconds after a failed call: one that is refused at once would be made again at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    What one kind of call did. `operations` are commands that were answered; the percentiles are
    of calls, in milliseconds, a batch being one; `cpu_us` are microseconds of this process's CPU
    for an operation. None where nothing was answered.
    """

    operations: int
    per_second: float
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    cpu_us: float | None
    errors: dict[str, int]


async def measure(
    call: Call, *, callers: int, seconds: float, batch: int = 1, progress: Callable[[float], None]
) -> Figures:
    """
    What `callers` do in that time, each with one call at once; `progress` is told the seconds.
    """
    took, errors = array("d"), Counter[str]()
    began = time.perf_counter()
    until = began + seconds
    numbers = iter(range(2**62))

    async def keep_calling() -> None:
        while (called := time.perf_counter()) < until:
            try:
                await call(next(numbers))
            except RedisError as error:
                errors[type(error).__name__] += 1
                await asyncio.sleep(PAUSE)
            else:
                took.append(time.perf_counter() - called)

    async def tell() -> None:
        while True:
            progress(time.perf_counter() - began)
            await asyncio.sleep(0.1)

    cpu = time.process_time()
    teller = asyncio.create_task(tell(), name="bench:progress")
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(keep_calling(), name=f"bench:{number}")
    finally:
        teller.cancel()
    cpu, lasted = time.process_time() - cpu, time.perf_counter() - began
    return figures(took, lasted=lasted, cpu=cpu, batch=batch, errors=errors)


def figures(
    took: Sequence[float], *, lasted: float, cpu: float, batch: int, errors: dict[str, int]
) -> Figures:
    """
    The figures of calls that took these seconds each.
    """
    ordered = sorted(took)
    operations = len(ordered) * batch
    return Figures(
        operations=operations,
        per_second=round(operations / lasted, 1),
        p50_ms=_percentile(ordered, 0.5),
        p99_ms=_percentile(ordered, 0.99),
        p999_ms=_percentile(ordered, 0.999),
        max_ms=_percentile(ordered, 1.0),
        cpu_us=round(cpu / operations * 1e6, 1) if operations else None,
        errors=dict(errors),
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 3)
