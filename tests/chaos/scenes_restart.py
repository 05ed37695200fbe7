"""
Faults that are nobody's failure: restarts, slow loading, a blocked master, a client that closes.
"""

from __future__ import annotations

from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.scenes import Scene, embedded, register

__all__: list[str] = []

QUICK = {"info-period": 1000, "publish-period": 500}
"""Sentinel's own clocks, ten times as fast: an ex-master is a replica again after 3 s, not 10."""
FILLERS = 12_000
FILL = "for n = 1, tonumber(ARGV[1]) do redis.call('SET', 'filler:' .. n, 'x') end"
SLOW_TO_LOAD = {
    "appendonly": True,
    "appendfsync": "always",
    # Microseconds for each command of the file: some 3 s in all.
    "key-load-delay": 200,
}


async def rolling_restart(arena: Arena) -> None:
    group = arena.group
    arena.old = group.master
    for node in (*group.sentinels, *group.replicas):
        await group.restart(node)
        await group.wait_in_sync()
    arena.mark("fault")
    await group.failover()
    await group.wait_for_failover(arena.old)
    await arena.recovered(arena.old)
    await group.wait_in_sync()
    arena.mark("old master restarts")
    await group.restart(arena.old)
    await arena.calm(2.0)


async def slow_load(arena: Arena) -> None:
    group, master = arena.group, arena.group.master
    await group.command(master, "EVAL", FILL, 0, FILLERS)
    await arena.calm(0.5)
    arena.mark("fault")
    await group.restart(master, 20.0)
    arena.mark("loaded")
    await arena.calm(2.0)


async def blocks(arena: Arena) -> None:
    arena.mark("fault")
    await arena.group.command(arena.group.master, "DEBUG", "SLEEP", "2.5", timeout=6.0)
    arena.mark("awake")
    await arena.calm(1.5)


async def closed_after_a_crash(arena: Arena) -> None:
    old = arena.group.master
    arena.mark("fault")
    await arena.group.kill(old)
    await arena.calm(0.4)
    await arena.close()
    await arena.group.wait_for_failover(old)  # the audit needs a master


async def closed_in_a_hang(arena: Arena) -> None:
    old = arena.group.master
    arena.mark("fault")
    await arena.group.pause(old)
    await arena.calm(0.4)
    await arena.close()
    await arena.group.wait_for_failover(old)


register(
    Scene(
        name="rolling-restart",
        about="all six processes are restarted, one after the other",
        run=rolling_restart,
        group=embedded(sentinel_debug=QUICK),
        bars=bars.PLANNED,
        timeout=70.0,
        trials=3,
    )
)
register(
    Scene(
        name="slow-load",
        about="the master restarts and takes some seconds to load its data",
        run=slow_load,
        group=embedded(server_config=SLOW_TO_LOAD),
        bars=(*bars.NO_ERRORS_OF_REPEATABLE, *bars.ONCE, *bars.ON_TIME, *bars.NOTHING_LOST),
    )
)
register(
    Scene(
        name="master-blocks",
        about="the master blocks for 2.5 s, and nobody replaces it",
        run=blocks,
        group=embedded(down_after=5.0),
        down_after=5.0,
        bars=bars.BLOCKED,
    )
)
register(
    Scene(
        name="close-after-crash",
        about="aclose() while a dead master is being replaced",
        run=closed_after_a_crash,
        bars=bars.CLOSED,
    )
)
register(
    Scene(
        name="close-in-hang",
        about="aclose() while the master hangs",
        run=closed_in_a_hang,
        bars=bars.CLOSED,
    )
)
