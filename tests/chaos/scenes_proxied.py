"""
Faults of single connections: resets, black holes and trickles, in proxies before every member.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

from sahool_cache.embedded import EmbeddedSentinel, Node
from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.bars import Bar
from tests.chaos.proxy import Mode, ProxiedGroup
from tests.chaos.scenes import DOWN_AFTER, Scene, register

__all__ = ["CALM", "CRAWL", "IMPATIENT", "IMPATIENT_CALLS", "ONCE_EACH", "writes_again"]

CRAWL = 3.0
"""Seconds for which connections hold or crawl."""
IMPATIENT: Mapping[str, Any] = {"command_timeout": 2.0}


async def resets(arena: Arena) -> None:
    group = cast("ProxiedGroup", arena.group)
    arena.mark("fault")
    await group.reset_all()
    await arena.calm(2.0)


async def churn(arena: Arena) -> None:
    group = cast("ProxiedGroup", arena.group)
    arena.mark("fault")
    for _ in range(50):
        await group.reset_all()
        await arena.calm(0.1)
    await arena.calm(1.0)


def held(mode: Mode) -> Callable[[Arena], Awaitable[None]]:
    """
    The scene in which the connections to the master do as `mode` says, and later all is well.
    """

    async def run(arena: Arena) -> None:
        group = cast("ProxiedGroup", arena.group)
        proxy = group.proxy_of(group.master)
        arena.mark("fault")
        proxy.mode = mode
        await arena.calm(CRAWL)
        proxy.mode = "pass"
        await writes_again(arena, arena.mark("healed"))

    return run


async def dark_sentinels(arena: Arena) -> None:
    """
    No sentinel is heard for a while, and nothing else happens.
    """
    group = cast("ProxiedGroup", arena.group)
    arena.mark("fault")
    _set_all(group, group.sentinels, "black_hole")
    await arena.calm(CRAWL)
    _set_all(group, group.sentinels, "pass")
    arena.mark("healed")
    await arena.calm(1.0)


async def dark_sentinels_and_resets(arena: Arena) -> None:
    """
    Two of three sentinels are not heard, and then every connection is reset.
    """
    group = cast("ProxiedGroup", arena.group)
    _set_all(group, group.sentinels[:2], "black_hole")
    await arena.calm(1.0)
    await resets(arena)
    _set_all(group, group.sentinels, "pass")
    arena.mark("healed")
    await arena.calm(1.0)


def _set_all(group: ProxiedGroup, nodes: Iterable[Node], mode: Mode) -> None:
    for node in nodes:
        group.proxy_of(node).mode = mode


async def writes_again(arena: Arena, since: float) -> None:
    """
    Notes how long it took until every writer had a write acknowledged.
    """
    waiting, seen = set(arena.writers), 0
    while waiting and time.monotonic() - since < arena.patience:
        ended, seen = arena.history.operations[seen:], len(arena.history)
        waiting -= {each.task for each in ended if each.acknowledged and each.ended > since}
        await arena.calm(0.005)
    arena.note("after_healing", time.monotonic() - since)
    await arena.calm(1.0)


CALM = (*bars.NO_ERRORS_OF_REPEATABLE, *bars.ON_TIME, *bars.NOTHING_LOST)
# One outcome for each reset or each expired call, and a task may meet several.
ONCE_EACH = tuple(bar for bar in bars.ONCE if bar.figure != "unknown_per_task")
IMPATIENT_CALLS = (*bars.ON_TIME, *ONCE_EACH, *bars.NOTHING_LOST)
# By the calls, not by the gaps between them: the load itself pauses nearly as long as that.
_NO_PAUSE = Bar(
    row=11, what="longest call", figure="longest_call", statistic="max", limit=lambda _: 0.050
)


def behind_proxies(
    name: str,
    about: str,
    run: Callable[[Arena], Awaitable[None]],
    proves: tuple[Bar, ...],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    register(
        Scene(
            name=name,
            about=about,
            run=run,
            needs="proxies",
            group=lambda: ProxiedGroup(EmbeddedSentinel(down_after=DOWN_AFTER)),
            compares=False,  # the others have no map of addresses
            bars=proves,
            options=options,
            trials=2,
        )
    )


behind_proxies("resets", "all connections are reset at once", resets, bars.CONNECTIONS_CUT)
behind_proxies(
    "churn",
    "all connections are reset every 100 ms, for 5 s",
    churn,
    (_NO_PAUSE, *CALM, *ONCE_EACH),
)
behind_proxies(
    "black-hole",
    "connections to the master hold, for 3 s",
    held("black_hole"),
    (*CALM, *bars.ONCE),
)
behind_proxies(
    "black-hole-impatient",
    "the same, and calls have 2 s",
    held("black_hole"),
    IMPATIENT_CALLS,
    options=IMPATIENT,
)
behind_proxies(
    "trickle",
    "connections to the master pass a byte in 3 ms, for 3 s",
    held("trickle"),
    (*CALM, *ONCE_EACH),
)
behind_proxies(
    "trickle-impatient",
    "the same, and calls have 2 s",
    held("trickle"),
    IMPATIENT_CALLS,
    options=IMPATIENT,
)
behind_proxies(
    "dark-sentinels",
    "no sentinel is heard, for 3 s",
    dark_sentinels,
    (_NO_PAUSE, *CALM, *bars.ONCE),
)
behind_proxies(
    "dark-sentinels-resets",
    "two of three sentinels are not heard, and all connections are reset",
    dark_sentinels_and_resets,
    bars.CONNECTIONS_CUT,
)
