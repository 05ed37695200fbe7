"""
What tests look at from outside: conditions that come true, and what a client leaves behind.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sahool_cache.events import Event
from sahool_cache.pipeline import Pipeline

__all__ = ["Recorder", "eventually", "open_sockets", "other_tasks", "send_all", "within"]


class Recorder:
    """
    Keeps every event it is told of.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        """
        The events of one kind, in the order in which they came.
        """
        return [event for event in self.events if isinstance(event, kind)]


async def eventually(condition: Callable[[], object], timeout: float = 10.0) -> bool:
    """
    Whether the condition came true within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


class within:  # noqa: N801  # reads as a word of the sentence: `with within(3):`
    """
    Fails the test when its block takes longer than `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        took = time.monotonic() - self._started
        if kind is None:
            assert took <= self._seconds, f"took {took:.2f} s, more than {self._seconds:g} s"


def send_all(pipe: Pipeline, *commands: tuple[str, ...]) -> Awaitable[list[Any]]:
    """
    The replies to these commands as one batch.
    """
    for command in commands:
        pipe.execute_command(*command)
    return pipe.execute()


def open_sockets() -> set[int]:
    """
    The file descriptors of this process that are sockets.
    """
    found = set()
    for place in Path("/dev/fd").iterdir():
        try:
            if stat.S_ISSOCK(os.fstat(int(place.name)).st_mode):
                found.add(int(place.name))
        except OSError:  # the directory's own descriptor is gone by now
            continue
    return found


def other_tasks() -> set[str]:
    """
    The names of all tasks of this loop but the current one.
    """
    me = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not me}
