"""
Which cells the table has: our client and its peers, work by work.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.benchmarks.model import BASELINE, OURS, Cell, Loop
from tests.benchmarks.reference import REFERENCE
from tests.benchmarks.works import WORKS

__all__ = [
    "DURABLE",
    "FAIR",
    "GET_ALONE",
    "MAIN",
    "NEAR",
    "REPLICAS",
    "TEXT",
    "Timing",
    "chosen",
    "group_of",
    "recipes",
    "table",
    "variant_options",
]

MAIN = ("get-1", "get-100", "get-1000", "mix-100", "pipeline-1000", "mget-100")
_BOTH: tuple[Loop, ...] = ("asyncio", "uvloop")
_PEERS = ("valkey-glide", "coredis")
_WAYS_OF_REDIS_PY = ("redis-py tuned", "redis-py sentinel")
_NODE = ("ioredis", "ioredis auto-pipelining")

TEXT, REPLICAS = f"{OURS}, text", f"{OURS}, replicas"
NEAR, DURABLE = f"{OURS}, near cache", f"{OURS}, durable"
GET_ALONE, FAIR = f"{OURS}, GET alone", f"{OURS}, fair"
_SLIDING, _LOG = f"{OURS}, sliding window", f"{OURS}, log"
_OPTIONS: dict[str, dict[str, Any]] = {
    TEXT: {"decode_responses": True},
    REPLICAS: {"read_from": "replica"},
    NEAR: {"near_cache": True},
    DURABLE: {"durability": 1},
    GET_ALONE: {"get_alone": True},
    FAIR: {"fair": True},
    _SLIDING: {"algorithm": "sliding_window"},
    _LOG: {"algorithm": "log"},
}

_RECIPES: dict[str, tuple[str, ...]] = {
    "cache-hit-100": (BASELINE, NEAR, OURS, GET_ALONE, "cashews", "aiocache"),
    "limiter-100": (BASELINE, OURS, _SLIDING, _LOG, "cashews"),
    "lock-100": (BASELINE, OURS, "cashews"),
    "lock-hand-over": (BASELINE, OURS, FAIR, "cashews"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """
    How long each cell works, and how often it is repeated.
    """

    seconds: float = 0.8
    warm_up: float = 0.3
    reps: int = 3

    def cell(self, work: str, client: str, loop: Loop, **more: Any) -> Cell:
        """
        That cell, with as many tasks as its work has.
        """
        cell = Cell(
            work=work,
            client=client,
            loop=loop,
            seconds=self.seconds,
            warm_up=self.warm_up,
            tasks=WORKS[work].tasks,
            options=variant_options(client),
        )
        return msgspec.structs.replace(cell, **more)


def variant_options(client: str) -> dict[str, Any]:
    """
    The settings that make the variant of ours with that name.
    """
    return _OPTIONS.get(client, {})


def table(timing: Timing) -> list[list[Cell]]:
    """
    The cells, those together that are compared with one another.
    """
    groups = []
    for work in MAIN:
        for loop in _BOTH:
            group = group_of(timing, work, loop, (BASELINE, OURS, *_PEERS))
            if loop == "asyncio":
                group += group_of(timing, work, loop, _beside(work))
                group += group_of(timing, work, "node", _NODE)
                if work != "mix-100":
                    group += group_of(timing, work, "none", (REFERENCE,))
            groups.append(group)
    groups.append(group_of(timing, "spread-1000", "asyncio", (BASELINE, OURS, REPLICAS)))
    groups.append(group_of(timing, "hot-key", "asyncio", (BASELINE, NEAR)))
    groups.append(group_of(timing, "invalidation", "asyncio", (NEAR,)))
    groups.append(group_of(timing, "durable-100", "asyncio", (BASELINE, DURABLE)))
    return groups


def recipes(timing: Timing) -> list[list[Cell]]:
    """
    The cells of the recipes, likewise.
    """
    return [group_of(timing, work, "asyncio", clients) for work, clients in _RECIPES.items()]


def _beside(work: str) -> tuple[str, ...]:
    clients = _WAYS_OF_REDIS_PY if work.startswith("get-") else ()
    return clients + ((TEXT,) if work == "get-100" else ())


def group_of(timing: Timing, work: str, loop: Loop, clients: Sequence[str]) -> list[Cell]:
    """
    One cell for each of these clients.
    """
    return [timing.cell(work, client, loop) for client in clients]


def chosen(
    groups: Sequence[Sequence[Cell]],
    *,
    works: Collection[str] = (),
    clients: Collection[str] = (),
    loops: Collection[str] = (),
) -> list[list[Cell]]:
    """
    The cells of these works, clients and loops; no choice means all.

    The baseline always stays, as the ratios are to it.
    """
    kept = []
    for group in groups:
        cells = [
            cell
            for cell in group
            if (not works or cell.work in works)
            and (not clients or cell.client in {*clients, BASELINE})
            and (not loops or cell.loop in loops)
        ]
        if cells:
            kept.append(cells)
    return kept
