"""
What the recipes of one client share: whose client it is, wake-ups, background tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from anyio import CancelScope

from sahool_cache.client import RedisClient
from sahool_cache.current import get_redis_client
from sahool_cache.recipes.wakeups import Wakeups

__all__ = ["CLOSE_WITHIN", "GivenClient", "Shared", "client_of", "uncancelled"]

GivenClient: TypeAlias = RedisClient | Callable[[], RedisClient] | None
"""A client, what gives it at each call, or None for `get_redis_client`."""

CLOSE_WITHIN = 0.05
"""Seconds that closing waits for tasks which do not end at once when they are cancelled."""


def client_of(given: GivenClient) -> RedisClient:
    """
    The client that was given, or else this process and event loop's own.
    """
    if given is None:
        return get_redis_client()
    return given if isinstance(given, RedisClient) else given()


class Shared:
    """
    The companion of a client that its recipes share. `repeating` is a view for what may run twice,
    `hasty` one that never waits for replicas, either.
    """

    def __init__(self, client: RedisClient) -> None:
        self.repeating = client.with_options(retry="always")
        self.hasty = client.with_options(retry="always", durability=0)
        self.wakeups = Wakeups(client, self.start)
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """
        Runs it in a task that is kept until it ends, and cancelled when the client closes.
        """
        task = asyncio.get_running_loop().create_task(work, name=f"sahool_cache.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """
        Cancels all of the tasks, waits for them for a moment, and ends the subscription.
        """
        ours = {task for task in self._tasks if task is not asyncio.current_task()}
        for task in ours:
            task.cancel()
        if ours:
            await asyncio.wait(ours, timeout=CLOSE_WITHIN)
        await self.wakeups.aclose()


async def uncancelled(task: asyncio.Task[Any]) -> None:
    """
    Returns when the task has ended, however often the caller is cancelled meanwhile; a
    cancellation is passed on then. The task has to have an end of its own.
    """
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):  # anyio cancels again and again
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
