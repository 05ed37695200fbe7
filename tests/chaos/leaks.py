"""
What a client leaves behind: tasks of this loop and sockets of this process.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tests.chaos.clients import Client
from tests.integration.observe import open_sockets

__all__ = ["Closing", "close", "sockets_now", "tasks_now"]

_GRACE = 0.05
"""Seconds after the end of aclose() for transports to say goodbye to the loop."""
_AT_MOST = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """
    How long aclose() took, and what was still there afterwards.
    """

    took: float
    tasks: tuple[str, ...]
    sockets: int


def tasks_now() -> frozenset[asyncio.Task[Any]]:
    """
    All tasks of this loop.
    """
    return frozenset(asyncio.all_tasks())


def sockets_now(apart: Callable[[], Collection[int]]) -> frozenset[int]:
    """
    The sockets of this process but these, which come and go in another thread meanwhile.
    """
    before = frozenset(apart())
    return frozenset(open_sockets()) - before - frozenset(apart())


async def close(
    client: Client,
    *,
    tasks: Collection[asyncio.Task[Any]],
    sockets: Collection[int],
    apart: Callable[[], Collection[int]],
) -> Closing:
    """
    Closes the client, and says what is there that was not among these tasks and sockets before.

    `apart` gives the sockets of the listeners, which come and go.
    """
    began = time.monotonic()
    try:
        async with asyncio.timeout(_AT_MOST):
            await client.aclose()
    except TimeoutError:
        pass  # the figure says it
    took = time.monotonic() - began
    await asyncio.sleep(_GRACE)
    gc.collect()  # what only a cycle keeps is late, but not lost: redis-py's sockets
    left = tasks_now() - frozenset(tasks) - {asyncio.current_task()}
    open_still = sockets_now(apart) - frozenset(sockets)
    for _ in range(2):  # a listener that dials may be caught between two looks, a leak stays
        await asyncio.sleep(0.01)
        open_still &= sockets_now(apart)
    return Closing(
        took=took,
        tasks=tuple(sorted(task.get_name() for task in left)),
        sockets=len(open_still),
    )
