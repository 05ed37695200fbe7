"""
Calls that wait at the server: how a test sees that they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from sahool_cache import RedisClient

__all__ = ["awaited", "blocked", "handed_back", "listed"]


async def blocked(redis: RedisClient, count: int, at_most: float = 10.0) -> None:
    """
    Returns when so many clients wait at the master.
    """
    async with asyncio.timeout(at_most):
        while (await redis.info("clients"))["blocked_clients"] != count:
            await asyncio.sleep(0.01)


async def handed_back(redis: RedisClient, at_most: float = 1.0) -> None:
    """
    Returns when no exclusive connection is lent; raises `TimeoutError` if one stays lent.
    """
    async with asyncio.timeout(at_most):
        while any(node.exclusive for node in redis.stats().nodes):
            await asyncio.sleep(0)


async def awaited(call: Awaitable[Any]) -> Any:
    return await call


def listed(value: Any) -> Any:
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value
