"""
Background tasks that may be started from anywhere on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import anyio

__all__ = ["Background"]


class Background:
    """
    A task group for those who hear of things in callbacks of the loop, outside of any task. There
    anyio cannot tell which library runs, once `sniffio` is installed, and starts nothing.

    ``async with`` runs it until it is cancelled or a task fails.
    """

    def __init__(self) -> None:
        self._new: asyncio.Queue[tuple[Callable[..., Coroutine[Any, Any, None]], Any, str]]
        self._new = asyncio.Queue()
        self._group = anyio.create_task_group()

    def start(self, run: Callable[..., Coroutine[Any, Any, None]], *args: Any, name: str) -> None:
        """
        Runs `run(*args)` as a task of this group, which cancels and awaits it.
        """
        self._new.put_nowait((run, args, name))

    def cancel(self) -> None:
        """
        Ends all of them.
        """
        self._group.cancel_scope.cancel()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._group.start_soon(self._begin, name="sahool_cache.background")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._group.__aexit__(kind, error, traceback)

    async def _begin(self) -> None:
        while True:
            run, args, name = await self._new.get()
            self._group.start_soon(run, *args, name=name)
