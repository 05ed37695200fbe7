"""
The bars: what the finished client has to reach, as data, and the verdict on each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.model import BASELINE, OURS, Cell, Loop, Result
from tests.benchmarks.plan import DURABLE, FAIR, GET_ALONE, NEAR, REPLICAS
from tests.benchmarks.ratios import Key, Ratio, by_key, key_of, median_of, paired

__all__ = ["BARS", "FIGURES", "GROWN", "Bar", "Figure", "Verdict", "judge"]


def _master_load(result: Result) -> float | None:
    return None if result.master_cpu is None else result.master_cpu / result.seconds


def _grown(result: Result) -> float | None:
    rounds = result.rss_by_round
    return (rounds[-1] - rounds[0]) / 1024 if len(rounds) > 1 else None


FIGURES: Mapping[str, Callable[[Result], float | None]] = {
    "rate": lambda result: result.rate or None,
    "p50": lambda result: result.p50,
    "p99": lambda result: result.p99,
    "p999": lambda result: result.p999,
    "p99 in ms": lambda result: None if result.p99 is None else result.p99 / 1000,
    "CPU per command in us": lambda result: result.cpu_per_command or None,
    "the master's CPU": _master_load,
    "memory grown in MB": _grown,
}
Figure = str

GROWN = "memory"
"""The work of the cell that shows whether memory grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """
    A figure of ours, its ratio to `against` doing the same, or with `difference` by how much it is
    above that, must be at least or at most `limit`.
    """

    work: str
    loop: Loop = "asyncio"
    client: str = OURS
    figure: Figure = "rate"
    against: str | None = BASELINE
    against_loop: Loop | None = None
    difference: bool = False
    bound: Literal["at least", "at most"] = "at least"
    limit: float
    aim: float | None = None

    @property
    def name(self) -> str:
        """
        What is compared with what.
        """
        name = f"{self.work} ({self.loop}): {self.figure} of {self.client}"
        if self.against is None:
            return name
        return f"{name} {'above' if self.difference else 'to'} {self.against}"

    @property
    def keys(self) -> list[Key]:
        """
        The cells that it needs: ours, and the one it is compared with.
        """
        mine: Key = (self.work, self.client, self.loop)
        if self.against is None:
            return [mine]
        return [mine, (self.work, self.against, self.against_loop or self.loop)]

    def holds(self, value: float) -> bool:
        """
        Whether that value is on the right side of the limit.
        """
        return value >= self.limit if self.bound == "at least" else value <= self.limit


def _rate(work: str, limit: float, aim: float, loop: Loop = "asyncio") -> Bar:
    return Bar(work=work, loop=loop, limit=limit, aim=aim)


def _ahead(client: str, limit: float, loop: Loop, its_loop: Loop | None = None) -> Bar:
    return Bar(work="get-100", loop=loop, against=client, against_loop=its_loop, limit=limit)


BARS: tuple[Bar, ...] = (
    _rate("get-1", 1.25, 1.5),
    Bar(work="get-1", figure="p99", bound="at most", limit=1.0),
    _rate("get-100", 10, 14),
    _rate("get-100", 10, 14, "uvloop"),
    _ahead("valkey-glide", 4, "asyncio"),
    _ahead("valkey-glide", 4, "uvloop"),
    _ahead("coredis", 10, "asyncio"),
    _ahead("coredis", 10, "uvloop"),
    _ahead("ioredis auto-pipelining", 1, "asyncio", "node"),
    Bar(
        work="get-100",
        figure="CPU per command in us",
        against=None,
        bound="at most",
        limit=4,
        aim=3,
    ),
    _rate("get-1000", 15, 23),
    Bar(work="get-1000", figure="p99", bound="at most", limit=1.0),
    _rate("mix-100", 10, 14),
    _rate("pipeline-1000", 10, 14),
    _rate("mget-100", 1.6, 1.8),
    Bar(work="spread-1000", client=REPLICAS, against=OURS, limit=0.9),
    Bar(
        work="spread-1000",
        client=REPLICAS,
        against=OURS,
        figure="the master's CPU",
        bound="at most",
        limit=0.5,
    ),
    Bar(work="hot-key", client=NEAR, limit=150, aim=400),
    Bar(
        work="invalidation",
        client=NEAR,
        figure="p99 in ms",
        against=None,
        bound="at most",
        limit=10,
    ),
    Bar(work="durable-100", client=DURABLE, limit=5),
    Bar(
        work=GROWN,
        figure="memory grown in MB",
        against=None,
        bound="at most",
        limit=2,
    ),
    _rate("cache-hit-100", 5, 9),
    Bar(
        work="cache-hit-100",
        figure="CPU per command in us",
        against=GET_ALONE,
        difference=True,
        bound="at most",
        limit=15,
        aim=6,
    ),
    Bar(work="cache-hit-100", client=NEAR, limit=8, aim=18),
    _rate("limiter-100", 2, 4),
    _rate("lock-100", 1, 1.5),
    _rate("lock-hand-over", 20, 100),
    Bar(work="lock-hand-over", client=FAIR, limit=20, aim=75),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    One bar and what was measured for it. `skipped` says which peer is not installed.
    """

    bar: Bar
    value: Ratio | float | None
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        """
        Whether the bar is reached, or cannot be judged here; without a figure it is not reached.
        """
        if self.skipped is not None:
            return True
        if self.value is None:
            return False
        return self.bar.holds(self.value.middle if isinstance(self.value, Ratio) else self.value)


def judge(results: Iterable[Result], planned: Iterable[Cell]) -> list[Verdict]:
    """
    The verdict on every bar whose cells were planned, whether they came to something or not.
    """
    seen = list(results)
    found, absent = by_key(seen), _absent(seen)
    wanted = {key_of(cell) for cell in planned}
    return [_verdict(bar, found, absent) for bar in BARS if wanted.issuperset(bar.keys)]


def _absent(results: Iterable[Result]) -> dict[Key, str]:
    return {key_of(each.cell): each.absent for each in results if each.absent is not None}


def _verdict(
    bar: Bar, found: Mapping[Key, Mapping[int, Result]], absent: Mapping[Key, str]
) -> Verdict:
    keys, figure = bar.keys, FIGURES[bar.figure]
    skipped = next((absent[key] for key in keys if key in absent), None)
    value: Ratio | float | None = None
    if skipped is None and all(key in found for key in keys):
        ours, *theirs = (found[key] for key in keys)
        value = (
            paired(ours, theirs[0], figure, difference=bar.difference)
            if theirs
            else median_of(ours, figure)
        )
    return Verdict(bar=bar, value=value, skipped=skipped)
