"""
What other clients have written and when it was acknowledged, and which reads that forbids.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sahool_cache import SahoolCacheError
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["History", "read", "write"]

SHORT = 0.15
"""Seconds that a key lives which has an end."""


@dataclass(kw_only=True)
class History:
    """
    Per key the versions that all replicas had, with the time at which that was known.

    An emptied group is a version too: it comes half-way between the last one and the next.
    """

    keys: tuple[str, ...]
    acknowledged: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    emptied: dict[str, float] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)
    reads: int = 0
    writes: int = 0
    problems: list[str] = field(default_factory=list)
    stopped: bool = False

    def note(self, key: str, version: float) -> None:
        """
        That version is there, as of now.
        """
        self.acknowledged.setdefault(key, []).append((time.monotonic(), version))
        self.writes += 1

    def oldest(self, key: str, at: float) -> float:
        """
        The version that a read must have, which knows of what was acknowledged by then.
        """
        known = [version for when, version in self.acknowledged.get(key, ()) if when <= at]
        return max(known, default=0.0)

    def judge(self, who: str, key: str, value: Any, began: float, bound: float) -> None:
        """
        Looks at one reply.
        """
        self.reads += 1
        version = self.emptied.get(key, 0.0) if value is None else float(value)
        least = self.oldest(key, began - bound)
        if version < least:
            self.problems.append(f"{who}: {key} was {value} at {began:.3f}, {least} was known")


async def _direct(group: EmbeddedSentinel) -> Redis:
    host, port = group.master.address
    once = Retry(NoBackoff(), 0)
    return Redis(host=host, port=port, decode_responses=True, socket_timeout=0.5, retry=once)


async def write(group: EmbeddedSentinel, history: History) -> None:
    """
    Writes version after version of each key through redis-py, to whoever is master now.
    """
    client, numbers = await _direct(group), count(1)
    try:
        while not history.stopped:
            number = next(numbers)
            key = history.keys[number % len(history.keys)]
            history.begun[key] = number
            try:
                await client.set(key, number)
                # By all that are up: a master that was replaced a moment ago lacks one of them.
                others = sum(node.awake for node in (group.master, *group.replicas)) - 1
                if await client.wait(others, 100) >= others:
                    history.note(key, number)
            except (RedisError, OSError):
                await client.aclose()
                await asyncio.sleep(0.02)
                client = await _direct(group)
            await asyncio.sleep(0.003)
    finally:
        await client.aclose()


async def write_short(group: EmbeddedSentinel, history: History) -> None:
    """
    Writes keys that have an end.
    """
    client, numbers = await _direct(group), count(1)
    try:
        while not history.stopped:
            number = next(numbers)
            try:
                await client.set("short", number, px=int(SHORT * 1000))
                history.ends[number] = time.monotonic() + SHORT
            except (RedisError, OSError):
                await client.aclose()
                client = await _direct(group)
            await asyncio.sleep(SHORT * 1.5)
    finally:
        await client.aclose()


async def read(
    history: History, who: str, client: Any, bound: float, pause: Callable[[], float]
) -> None:
    """
    Reads key after key, and judges each reply.
    """
    while not history.stopped:
        for key in history.keys:
            began = time.monotonic()
            try:
                value = await client.get(key)
            except SahoolCacheError:
                await asyncio.sleep(0.01)
                continue
            history.judge(who, key, value, began, bound)
        began = time.monotonic()
        try:
            short = await client.get("short")
        except SahoolCacheError:
            continue
        if short is not None and began > history.ends.get(int(short), float("inf")) + 0.003:
            history.problems.append(f"{who}: short outlived its time")
        await asyncio.sleep(pause())
