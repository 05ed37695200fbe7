"""
Where results come from in these tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sahool_cache import RedisClient

__all__ = ["Source", "eventually", "ttl_of"]


class Source:
    """
    Gives its `value`, as it was when the load began, after that many `seconds`, or raises `error`.
    While it is `held`, loads go on.
    """

    def __init__(self, value: Any = 1, *, seconds: float = 0.0) -> None:
        self.value = value
        self.seconds = seconds
        self.error: Exception | None = None
        self.loads = 0
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> Any:
        self.loads += 1
        value = self.value
        try:
            await asyncio.sleep(self.seconds)
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return value


async def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    """
    Returns as soon as that holds.
    """
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.002)


async def ttl_of(redis: RedisClient, key: str) -> float:
    """
    The seconds for which the server keeps a key.
    """
    return float(await redis.pttl(key)) / 1000
