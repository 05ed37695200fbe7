"""
Several processes at once, each with a client of its own: not one request too many, nor too few.
"""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.rate_limiter import RateLimiter
from tests.house import ROOT

PROCESSES, CALLS, HOUR = 4, 500, 3600

ONE, TWO = [(100, 24 * HOUR)], [(150, 48 * HOUR), (101, 36 * HOUR)]
LIMITERS = [
    (algorithm, limits, cost)
    for algorithm in ("gcra", "sliding_window", "log")
    for limits, cost in ((ONE, 1), (ONE, 3), (TWO, 1))
]


async def counted(job: dict[str, object]) -> list[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.recipes.limiter.worker", json.dumps(job)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    counts: list[int] = json.loads(out)
    return counts


@pytest.mark.asyncio
async def test_two_thousand_calls_at_once_of_which_exactly_the_limit_passes(
    calm: EmbeddedSentinel, redis: RedisClient
) -> None:
    job = {
        "sentinels": [str(sentinel.address) for sentinel in calm.sentinels],
        "master_name": calm.settings.master_name,
        "processes": PROCESSES,
        "calls": CALLS,
        "limiters": LIMITERS,
    }
    each = await asyncio.gather(*(counted(job) for _ in range(PROCESSES)))
    totals = [sum(counts) for counts in zip(*each, strict=True)]
    assert totals == [100, 33, 101] * 3
    for algorithm, limits, cost in LIMITERS:
        if limits is TWO:  # what one refused is not counted in the other
            limiter = RateLimiter(algorithm=algorithm, limits=[Limit(*TWO[0])], client=redis)  # type: ignore[arg-type]
            assert (await limiter.peek(f"all:{cost}")).remaining == 49
