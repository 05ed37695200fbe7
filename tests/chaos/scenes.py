"""
The list of scenes: each is one fault, and what has to hold when it happens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from sahool_cache.embedded import EmbeddedSentinel
from tests.chaos.arena import Arena, Group
from tests.chaos.bars import Bar

__all__ = ["DOWN_AFTER", "PROMPT", "SCENES", "Needs", "Scene", "embedded", "register"]

DOWN_AFTER = 1.0
"""Seconds: D of the bars."""

PROMPT = {"ping-period": 333}
"""
For `sentinel_debug` in scenes with a silent server. Sentinel counts from the first ping without an
answer, and pings once a second: with a D of one second, every client's outage would show the luck
of the ping. `EmbeddedSentinel` sets a third of D as well, where D is less than a second.
"""

Needs = Literal["group", "proxies", "hosts"]


def embedded(**options: Any) -> Callable[[], AbstractAsyncContextManager[Group]]:
    """
    A factory of embedded groups with these options.
    """
    return lambda: EmbeddedSentinel(**{"down_after": DOWN_AFTER, **options})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """
    One fault. `run` is called while the load runs, and returns when there is nothing more to see.

    `about` is one line for the list. `missing` gives the reason why this machine cannot
    play it, or None. `compares` says whether the other clients are shown it too. `bars` are the
    rows of the issue that it proves. `options` are settings for our client.
    """

    name: str
    about: str
    run: Callable[[Arena], Awaitable[None]]
    needs: Needs = "group"
    group: Callable[[], AbstractAsyncContextManager[Group]] = field(default_factory=embedded)
    missing: Callable[[], str | None] = lambda: None
    compares: bool = True
    bars: tuple[Bar, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    down_after: float = DOWN_AFTER
    trials: int = 2
    timeout: float = 45.0
    """Seconds for one trial, all in all."""


SCENES: dict[str, Scene] = {}


def register(scene: Scene) -> Scene:
    """
    Puts the scene on the list; names are unique.
    """
    if scene.name in SCENES:
        raise ValueError(f"there are two scenes named {scene.name}")
    SCENES[scene.name] = scene
    return scene
