"""
A test on virtual time: an event loop whose clock jumps to the next timer when nothing is ready.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["VirtualLoop", "play", "settle", "virtual"]


class _Jumping(selectors.DefaultSelector):
    """
    Looks at the sockets without waiting, and lets the clock jump over the wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen: the test waits without end")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    An event loop without waiting. `complaints` holds what its exception handler was told.
    """

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self.complaints: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.complaints.append(context))

    def time(self) -> float:
        return self._jumping.now


def play(scenario: Coroutine[Any, Any, T]) -> T:
    """
    Runs a scenario on virtual time; fails when the loop had anything to complain about.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        result = runner.run(scenario)
    assert isinstance(loop, VirtualLoop)
    assert loop.complaints == []
    return result


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """
    Makes an async test one that pytest calls like any other, on virtual time.
    """

    @functools.wraps(test)
    def on_virtual_time(*args: P.args, **kwargs: P.kwargs) -> None:
        play(test(*args, **kwargs))

    return on_virtual_time


async def settle(ticks: int = 20) -> None:
    """
    Lets everything run that is ready, without a moment passing.
    """
    for _ in range(ticks):
        await asyncio.sleep(0)
