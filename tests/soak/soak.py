"""
The bounded soak: a mixed load on a real group whose master is replaced again and again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedError, EmbeddedSentinel
from tests.soak.load import Load
from tests.soak.sample import Sample, take, trends
from tests.soak.slope import FEWEST, Trend

__all__ = ["Outcome", "Plan", "soak"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Seconds in all, per window, and between two failovers; windows that are left out at first.
    """

    seconds: float = 120.0
    window: float = 4.0
    failover_every: float = 20.0
    warm_up: int = 6

    @property
    def windows(self) -> int:
        """
        How many windows are judged.
        """
        return int(self.seconds / self.window) - self.warm_up

    def __post_init__(self) -> None:
        if self.windows < FEWEST:
            least = (self.warm_up + FEWEST) * self.window
            raise ValueError(f"{self.seconds:g} s are too few to judge: take {least:g} s or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What the windows after the warm-up showed, and what was done meanwhile.
    """

    trends: list[Trend]
    samples: list[Sample]
    rounds: Counter[str]
    errors: Counter[str]
    failovers: int

    @property
    def rising(self) -> list[str]:
        """
        The names of the figures that fail.
        """
        return [trend.name for trend in self.trends if trend.rises]


async def soak(
    plan: Plan,
    *,
    told: Callable[[int, Sample], None] = lambda _number, _sample: None,
    leak: Callable[[], object] = lambda: None,
) -> Outcome:
    """
    The outcome; `told(number, sample)` is called at the end of each window, and `leak` before
    it, so that a test can do harm.
    """
    debug = {"info-period": 1000, "publish-period": 500}
    samples: list[Sample] = []
    async with (
        EmbeddedSentinel(down_after=1.0, failover_timeout=3.0, sentinel_debug=debug) as group,
        RedisClient(group.settings) as redis,
    ):
        failing = asyncio.create_task(_fail_over(group, plan.failover_every), name="soak failover")
        try:
            async with Load(redis) as load:
                for number in range(plan.warm_up + plan.windows):
                    async with RedisClient(group.settings) as load.new:
                        load.resume()
                        await asyncio.sleep(plan.window)
                        await load.rest()
                    leak()
                    samples.append(take(load.took, load.took_new))
                    told(number, samples[-1])
        finally:
            failing.cancel()
            await asyncio.gather(failing, return_exceptions=True)
        judged = samples[plan.warm_up :]
        return Outcome(
            trends=trends(judged),
            samples=samples,
            rounds=load.rounds,
            errors=load.errors,
            failovers=redis.stats().failovers,
        )


async def _fail_over(group: EmbeddedSentinel, every: float) -> None:
    """
    Has the master replaced again and again; a sentinel that does not agree is asked next time.
    """
    while True:
        await asyncio.sleep(every)
        try:
            await group.wait_for_failover(await group.failover())
        except (EmbeddedError, TimeoutError):
            continue
