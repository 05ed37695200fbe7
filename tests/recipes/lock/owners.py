"""
What the tests of the lock share: owners in tasks of their own, and what the server knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from sahool_cache import RedisClient

__all__ = ["apart", "calls", "nothing_left", "traces"]

T = TypeVar("T")


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """
    A task that inherits no lock from the one that starts it.
    """
    return asyncio.create_task(work, context=Context())  # type: ignore[arg-type]


async def calls(redis: RedisClient) -> int:
    """
    The scripts that the master has run since `config_resetstat`.
    """
    stats = await redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


async def traces(redis: RedisClient) -> set[str]:
    """
    The keys that hold a lock or a place in a queue.
    """
    keys = await redis.keys("lock*")
    return {key for key in keys if key != "lock-fence" and not key.startswith("lock-released:")}


async def nothing_left(redis: RedisClient, within: float = 2.0) -> bool:
    """
    Whether the server knows of no owner and no waiter, or will not any more in a moment.
    """
    give_up = asyncio.get_running_loop().time() + within
    while await traces(redis):
        if asyncio.get_running_loop().time() > give_up:
            return False
        await asyncio.sleep(0.01)
    return True
