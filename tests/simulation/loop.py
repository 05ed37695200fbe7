"""
An event loop whose clock is a number: when nothing is ready, time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVarTuple

__all__ = ["Deadlock", "Livelock", "RealIO", "SimulatedLoop"]

Arguments = TypeVarTuple("Arguments")

START = 1000.0
"""The first moment; not 0, which would hide code that takes a moment for a flag."""

PATIENCE = 20_000
"""Rounds without a step of the clock after which the loop is held to be spinning."""


class Deadlock(RuntimeError):
    """
    Nothing is ready, and no timer will ever fire.
    """


class Livelock(RuntimeError):
    """
    Tasks keep one another busy and the clock stands still.
    """


class RealIO(RuntimeError):
    """
    Something asked for a thread, a socket or a name server.
    """


class NumberedTask(asyncio.Task[Any]):
    """
    A task whose hash is its number, so that sets of tasks have the same order in every run.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self.number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """
    Runs tasks and timers in one well-defined order, without I/O and without waiting.

    `complaints` collects what a real loop would log: exceptions that nobody retrieved, callbacks
    that raised, tasks destroyed while pending.
    """

    _ready: Any

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self._clock = START
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self._task_count = 0
        self._rounds = 0
        self.set_exception_handler(self._complain)
        self.set_task_factory(self._number)

    def time(self) -> float:
        return self._clock

    @property
    def elapsed(self) -> float:
        """
        Seconds since the simulation began.
        """
        return self._clock - START

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if ready:
            self._rounds += 1
            if self._rounds > PATIENCE:
                self._rounds = 0
                raise Livelock(f"the clock stands still at {self.elapsed:.3f}: {ready[0]}")
        elif timers:
            self._rounds = 0
            self._clock = max(self._clock, timers[0][0])
        else:
            raise Deadlock(f"nothing will ever happen after {self.elapsed:.3f}")
        while timers and timers[0][0] <= self._clock:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _number(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        self._task_count += 1
        return NumberedTask(coro, loop=loop, number=self._task_count, **options)

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        about = context.get("task") or context.get("future") or context.get("handle") or ""
        self.complaints.append(f"{context.get('message')} {about} {error!r}")

    def _write_to_self(self) -> NoReturn:
        raise RealIO("another thread woke the loop")

    def run_in_executor(self, *args: Any) -> NoReturn:  # type: ignore[override]
        raise RealIO("a thread was asked for")

    async def create_connection(self, *args: Any, **options: Any) -> NoReturn:
        raise RealIO("a real connection was asked for")

    async def getaddrinfo(self, *args: Any, **options: Any) -> NoReturn:
        raise RealIO("a name was looked up")
