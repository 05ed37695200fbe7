"""
Faults of the network: hosts that vanish, partitions that heal, links that are cut or crawl.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from sahool_cache.embedded import Node
from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.bars import Bar
from tests.chaos.hosts import SENTINEL_WITH_MASTER, HostGroup
from tests.chaos.measure import MAX_REPLICA_LAG
from tests.chaos.scenes import DOWN_AFTER, Scene, register
from tests.chaos.scenes_proxied import (
    CALM,
    CRAWL,
    IMPATIENT,
    IMPATIENT_CALLS,
    ONCE_EACH,
    writes_again,
)

__all__: list[str] = []

PINGS = {"ping-period": 333}
"""
Sentinel's own clock, in milliseconds. Who is silent is down D after the *next* ping, which comes
once a second by default: with a D of one second the figures would show the luck of the ping.
`EmbeddedSentinel` sets a third of D as well, where D is less than a second.
"""
ANNOUNCED: Mapping[str, Any] = {"early_promotion": False}
HEALS_AFTER = 4.0
"""Seconds from the promotion to the end of a partition; the ex-master is a master still."""
UNREPLICATED = 0.05
"""Seconds of writes that a crash takes along."""
STALE_FOR = 6.0
"""Seconds for which a replica is cut off: less than `repl-timeout`, after which it would say so."""
STEP = 0.05
"""Seconds between two looks at a server's counters."""


async def vanishes(arena: Arena) -> None:
    """
    No packet of the master's host any more, not even one that says so; later it is there again.
    """
    group = cast("HostGroup", arena.group)
    arena.old = group.master
    await _at_any_time(arena)
    arena.mark("fault")
    await group.cut_off(arena.old, from_="all")
    await arena.recovered(arena.old)
    await group.heal()
    arena.mark("host is back")
    await arena.calm(1.0)


async def _at_any_time(arena: Arena) -> None:
    # The sentinels' pings began with the group: without chance, the fault would always meet them
    # at the same moment of their round, which decides how soon they notice.
    await arena.calm(random.uniform(0.0, PINGS["ping-period"] / 1000))


async def partition(arena: Arena) -> None:
    """
    The master's host reaches the client, and nobody of its group that is not on it.
    """
    group = cast("HostGroup", arena.group)
    arena.old = group.master
    await _at_any_time(arena)
    arena.mark("fault")
    await group.cut_off(arena.old, from_="group")
    await arena.wait_promoted(arena.old)
    await arena.calm(HEALS_AFTER)
    await group.heal()
    arena.mark("healed")
    await arena.recovered(arena.old)


async def crash(arena: Arena) -> None:
    """
    The last writes reach no replica, and the machine that has them is gone.
    """
    group = cast("HostGroup", arena.group)
    arena.old = group.master
    for replica in group.replicas:
        await group.cut(arena.old, replica)
    arena.mark("replication stops")
    await arena.calm(UNREPLICATED)
    arena.mark("fault")
    await group.kill(arena.old)
    await arena.recovered(arena.old)


async def stale_replica(arena: Arena) -> None:
    """
    The replica gets nothing any more, and neither it nor the sentinels say so.
    """
    group = cast("HostGroup", arena.group)
    replica = group.replicas[0]
    reads = asyncio.create_task(_note_last_read(arena, replica), name="reads of the cut replica")
    arena.mark("fault")
    await group.cut(group.master, replica)
    await arena.calm(STALE_FOR)
    told = str(await group.command(replica, "INFO", "replication"))
    reads.cancel()
    await asyncio.wait({reads})
    if "master_link_status:up" not in told:
        raise RuntimeError("the replica has noticed that it is cut off, which is another scene")
    await group.heal()
    arena.mark("healed")
    await group.wait_in_sync()
    in_sync = arena.mark("in sync")
    before = await _reads(arena, replica)
    while await _reads(arena, replica) == before and time.monotonic() - in_sync < arena.patience:
        await arena.calm(STEP)
    arena.note("back_in_rotation", time.monotonic() - in_sync)
    await arena.calm(0.5)


async def _note_last_read(arena: Arena, replica: Node) -> None:
    too_late = time.monotonic() + MAX_REPLICA_LAG
    count = -1
    while True:
        asked_at = time.monotonic()
        now = await _reads(arena, replica)
        if now != count:
            arena.note("left_rotation", asked_at - too_late)
        count = now
        await arena.calm(STEP)


async def _reads(arena: Arena, node: Node) -> int:
    # A replica is sent its master's writes, and no GET but those of clients.
    text = str(await arena.group.command(node, "INFO", "commandstats"))
    _, found, rest = text.partition("cmdstat_get:calls=")
    return int(rest.partition(",")[0]) if found else 0


async def client_cut_off(arena: Arena) -> None:
    """
    The client alone cannot reach the master, which is well in all other eyes.
    """
    group = cast("HostGroup", arena.group)
    arena.mark("fault")
    await group.cut_off(*group.with_node(group.master), from_="client")
    await arena.calm(CRAWL)
    await group.heal()
    await writes_again(arena, arena.mark("healed"))


_VANISH_EARLY = (*bars.HANG_EARLY, *bars.UNTOUCHED_EX_MASTER)
_VANISH = (*bars.HANG_ANNOUNCED, *bars.UNTOUCHED_EX_MASTER)
_PARTITION = (
    *bars.LOST_IN_PARTITION,
    *bars.REACTION,
    *bars.NO_ERRORS_OF_REPEATABLE,
    *bars.ONCE,
    *bars.ON_TIME,
    *bars.UNTOUCHED_EX_MASTER,
)
_DURABLE_PARTITION = (
    *(replace(bar, row=9, what=f"{bar.what}, although durable") for bar in bars.DURABLE),
    *ONCE_EACH,
    *bars.ON_TIME,
    *bars.UNTOUCHED_EX_MASTER,
)
_CRASH = (
    *(
        # What was acknowledged and did not survive makes the gap longer, on the far side of it.
        replace(bar, limit=lambda d: d + 0.5 + UNREPLICATED) if bar.figure == "outage" else bar
        for bar in bars.CRASH_EARLY
        if bar.figure not in {"lost", "history_lost"}
    ),
)
_STALE = (
    *bars.OUT_OF_ROTATION,
    Bar(
        row=13,
        what="last read of the replica after it was too far behind",
        figure="left_rotation",
        statistic="max",
        limit=lambda _: 1.5,
    ),
)


def on_hosts(
    name: str,
    about: str,
    run: Callable[[Arena], Awaitable[None]],
    proves: tuple[Bar, ...],
    *,
    options: Mapping[str, Any] = MappingProxyType({}),
    layout: Sequence[int] | None = None,
    compares: bool = True,
) -> None:
    register(
        Scene(
            name=name,
            about=about,
            run=run,
            needs="hosts",
            group=lambda: HostGroup(down_after=DOWN_AFTER, layout=layout, sentinel_debug=PINGS),
            missing=HostGroup.missing,
            compares=compares,
            bars=proves,
            options=options,
        )
    )


def in_every_durability(
    name: str,
    about: str,
    run: Callable[[Arena], Awaitable[None]],
    proves: tuple[Bar, ...],
    durable: tuple[Bar, ...],
    layout: Sequence[int] | None = None,
) -> None:
    on_hosts(name, about, run, proves, layout=layout)
    for choice in (1, "all"):
        on_hosts(
            f"{name}-durable-{choice}",
            f"the same with durability={choice!r}",
            run,
            durable,
            options={"durability": choice},
            layout=layout,
            compares=False,
        )


on_hosts("vanish", "the master's host vanishes", vanishes, _VANISH_EARLY)
on_hosts(
    "vanish-announced", "the same without early promotion", vanishes, _VANISH, options=ANNOUNCED
)
on_hosts(
    "vanish-with-sentinel",
    "the host of the master and a sentinel vanishes",
    vanishes,
    _VANISH_EARLY,
    layout=SENTINEL_WITH_MASTER,
)
in_every_durability(
    "partition",
    "the master is cut off from its group, not from the client; healed after 4 s",
    partition,
    _PARTITION,
    _DURABLE_PARTITION,
)
in_every_durability(
    "minority",
    "the same with one sentinel on the master's side",
    partition,
    _PARTITION,
    _DURABLE_PARTITION,
    SENTINEL_WITH_MASTER,
)
in_every_durability(
    "crash-unreplicated",
    "replication stops 50 ms before the master gets SIGKILL",
    crash,
    _CRASH,
    (*bars.DURABLE, *ONCE_EACH, *bars.ON_TIME),
)
on_hosts("stale-replica", "a replica's link to the master is cut silently", stale_replica, _STALE)
on_hosts(
    "client-cut",
    "the client alone cannot reach the master, for 3 s",
    client_cut_off,
    (*CALM, *bars.ONCE),
)
on_hosts(
    "client-cut-impatient",
    "nor a sentinel, and its calls have 2 s",
    client_cut_off,
    IMPATIENT_CALLS,
    options=IMPATIENT,
    layout=SENTINEL_WITH_MASTER,
)
