"""
A schedule: everything that a seed decides, worked out before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from sahool_cache.address import Address
from sahool_cache.settings import RedisSettings
from tests.simulation.faults import FAULTS, Fault
from tests.simulation.group import GroupOptions
from tests.simulation.sentinels import SentinelOptions
from tests.simulation.watched import MASTER_NAME

__all__ = ["Schedule", "make_schedule"]

MAY_LAST = frozenset({"kill", "vanish", "replica killed", "sentinel killed"})
"""Faults after which a group goes on without those that died."""

FENCED = 4.1
"""Seconds for which a lie about a coming failover may hold calls back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    One run: the group, the client's settings, the callers and the faults. One that is `closed_at`
    some moment ends there, whatever is broken.
    """

    seed: int
    group: GroupOptions
    settings: RedisSettings
    callers: int
    faults: tuple[Fault, ...]
    closed_at: float | None

    @property
    def ends_at(self) -> float:
        """
        The moment at which the last fault is over.
        """
        return max(
            fault.at + fault.lasting + (FENCED if fault.kind == "stale event" else 0.1)
            for fault in self.faults
        )

    def __str__(self) -> str:
        facts = {name: getattr(self.settings, name) for name in sorted(_VARIED)}
        lines = [f"seed {self.seed}: {self.callers} callers, closed at {self.closed_at}"]
        lines += [f"  {self.group}", f"  {facts}"]
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(lines)


_VARIED = (
    "breaker_failures",
    "breaker_open_for",
    "breaker_probes",
    "command_timeout",
    "early_promotion",
    "lanes",
    "poll_interval",
    "read_from",
    "retry_budget",
    "socket_connect_timeout",
    "socket_timeout",
)


def make_schedule(seed: int) -> Schedule:
    """
    The schedule of that seed.
    """
    random = Random(f"{seed}: schedule")
    group = _group(random)
    return Schedule(
        seed=seed,
        group=group,
        settings=RedisSettings.isolated(**_settings(random, group)),
        callers=random.randint(1, 5),
        faults=_faults(random, group),
        closed_at=random.uniform(0.2, 8) if random.random() < 0.15 else None,
    )


def _group(random: Random) -> GroupOptions:
    sentinels = random.choice((3, 3, 3, 5))
    return GroupOptions(
        replicas=random.choice((1, 2, 2, 2, 3)),
        sentinels=sentinels,
        sentinel=SentinelOptions(
            down_after=random.choice((0.6, 1.0, 1.0, 3.0)),
            failover_timeout=random.choice((2.0, 3.0, 6.0)),
            quorum=sentinels // 2 + 1,
        ),
        latency=random.choice(((0.0001, 0.0005), (0.0002, 0.003), (0.001, 0.02))),
        lag=random.choice((0.0005, 0.005, 0.05)),
        events_lost=random.choice((0.0, 0.0, 0.2, 1.0)),
        events_repeated=random.choice((0.0, 0.2)),
    )


def _settings(random: Random, group: GroupOptions) -> dict[str, Any]:
    known = random.choice((1, group.sentinels, group.sentinels))
    return {
        "sentinels": [Address(f"10.0.1.{number + 1}", 26379) for number in range(known)],
        "master_name": MASTER_NAME,
        "early_promotion": random.random() < 0.6,
        "lanes": random.choice((1, 1, 2, 3)),
        "read_from": random.choice(("master", "master", "replica", "replica_preferred", "nearest")),
        "command_timeout": random.choice((0.3, 1.0, 3.0, 5.0, 10.0)),
        "socket_timeout": random.choice((0.5, 2.0, 5.0)),
        "socket_connect_timeout": random.choice((0.3, 1.0, 5.0)),
        "poll_interval": random.choice((1.0, 5.0)),
        "breaker_failures": random.choice((1, 3)),
        "breaker_open_for": random.choice((0.2, 1.0)),
        "breaker_probes": random.choice((1, 2)),
        "retry_budget": random.choice((5, 20_000, 20_000)),
    }


def _faults(random: Random, group: GroupOptions) -> tuple[Fault, ...]:
    count = random.choice((1, 1, 1, 2, 2, 3))
    kinds = [random.choice(sorted(FAULTS)) for _ in range(count)]
    lasting = random.randrange(count) if random.random() < 0.3 else None
    faults = []
    at = random.uniform(-0.3, 2)
    for number, kind in enumerate(kinds):
        stays = number == lasting and kind in MAY_LAST and group.replicas > 1
        faults.append(
            Fault(kind, at, random.choice((0.05, 0.4, 2, 5)) * random.uniform(0.5, 1.5),
                  random.random(), undone=not stays)
        )  # fmt: skip
        at += random.choice((0.01, 0.5, 3.0)) * random.random()
    return tuple(faults)
