"""
Faults of the master: it dies, hangs, wakes up, is replaced as planned, is slow.
"""

from __future__ import annotations

import asyncio
import random
from time import monotonic

from redis.exceptions import ResponseError

from sahool_cache.embedded import Node
from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.scenes import PROMPT, Scene, embedded, register

__all__: list[str] = []

ANNOUNCED = {"early_promotion": False}


async def kill(arena: Arena) -> None:
    arena.old = arena.group.master
    arena.mark("fault")
    await arena.group.kill(arena.old)
    await arena.recovered(arena.old)


async def host_crash(arena: Arena) -> None:
    """
    The last writes never reach the replicas. Of a process that is killed they would: the kernel
    goes on to send what was in its sockets. Hence the master closes these first, to replicas that
    cannot come back in time.
    """
    arena.old = arena.group.master
    replicas = arena.group.replicas
    for replica in replicas:
        await arena.group.pause(replica)
    await arena.group.command(arena.old, "CLIENT", "KILL", "TYPE", "replica")
    arena.mark("replication stops")
    await arena.calm(0.05)
    arena.mark("fault")
    await arena.group.kill(arena.old)
    for replica in replicas:
        await arena.group.resume(replica)
    await arena.recovered(arena.old)


async def returns(arena: Arena) -> None:
    arena.old = arena.group.master
    arena.mark("fault")
    await arena.group.kill(arena.old)
    await arena.group.wait_for_failover(arena.old)
    await arena.group.restart(arena.old)
    arena.mark("old master is back")
    await arena.recovered(arena.old, then=3.0)


async def at_any_time(arena: Arena) -> None:
    """
    The pings began with the group: without chance, a hang would always meet the same part of them.
    """
    await arena.calm(random.uniform(0.0, PROMPT["ping-period"] / 1000))


async def hang(arena: Arena) -> None:
    arena.old = arena.group.master
    await at_any_time(arena)
    arena.mark("fault")
    await arena.group.pause(arena.old)
    await arena.recovered(arena.old)


async def hang_that_wakes(arena: Arena) -> None:
    arena.old = arena.group.master
    await at_any_time(arena)
    arena.mark("fault")
    await arena.group.pause(arena.old)
    await arena.wait_promoted(arena.old)
    await arena.calm(0.3)
    await arena.group.resume(arena.old)
    arena.mark("old master wakes")
    await arena.recovered(arena.old, then=3.0)


async def planned(arena: Arena) -> None:
    arena.old = arena.group.master
    arena.mark("fault")
    reads = asyncio.create_task(_reads_from_the_old(arena, arena.old))
    await arena.group.failover()
    await arena.recovered(arena.old, then=3.0)
    reads.cancel()
    await asyncio.wait({reads})


async def _reads_from_the_old(arena: Arena, old: Node) -> None:
    # The replica readers send the only GETs. What was on its way at the switch is not counted.
    await arena.wait_promoted(old)
    await arena.calm(1.5)
    before = await gets(arena, old)
    while True:
        await arena.calm(0.2)
        role = await arena.group.command(old, "ROLE")
        if role[0] != "master":
            return
        arena.note("reads_old", await gets(arena, old) - before)


async def gets(arena: Arena, node: Node) -> int:
    """
    How many GETs this server has run.
    """
    text = str(await arena.group.command(node, "INFO", "commandstats"))
    _, found, rest = text.partition("cmdstat_get:calls=")
    return int(rest.partition(",")[0]) if found else 0


async def coordinated(arena: Arena) -> None:
    arena.old = arena.group.master
    name = arena.group.settings.master_name
    nodes = (arena.old, *arena.group.replicas)
    tries = [asyncio.create_task(_accepted(arena, node)) for node in nodes]
    await arena.calm(0.1)
    arena.mark("fault")
    await arena.group.command(arena.group.sentinels[0], "SENTINEL", "FAILOVER", name, "COORDINATED")
    await arena.recovered(arena.old, then=3.0)
    for task in tries:
        task.cancel()
    old, *others = [await task for task in tries]
    closed = min(time for times in others for time in times) - max(old)
    arena.note("closed", closed)


async def _accepted(arena: Arena, node: Node) -> list[float]:
    """
    When this server has accepted a write, tried directly every 3 ms until it is cancelled.
    """
    times: list[float] = []
    try:
        while True:
            began = monotonic()
            try:
                await arena.group.command(node, "SET", "direct", "x")
            except ResponseError:  # a replica
                pass
            except OSError:
                await arena.calm(0.1)
            else:
                # The old master holds writes until it is a replica: it was open when it began.
                times.append(began)
            await arena.calm(0.003)
    except asyncio.CancelledError:
        return times


register(
    Scene(name="kill", about="the master gets SIGKILL", run=kill, bars=bars.CRASH_EARLY, trials=5)
)
register(
    Scene(
        name="kill-announced",
        about="the same, with early_promotion=False",
        run=kill,
        bars=bars.CRASH_ANNOUNCED,
        options=ANNOUNCED,
        compares=False,
        trials=3,
    )
)
register(
    Scene(
        name="kill-returns",
        about="the killed master is started again, and says that it is master",
        run=returns,
        bars=(*bars.NOTHING_LOST, *bars.UNTOUCHED_EX_MASTER, *bars.REACTION, *bars.ONCE),
        compares=False,
    )
)
register(
    Scene(
        name="host-crash",
        about="the master dies with writes that no replica has",
        run=host_crash,
        bars=(*bars.REACTION, *bars.NO_ERRORS_OF_REPEATABLE, *bars.ONCE, *bars.ON_TIME),
    )
)
register(
    Scene(
        name="hang",
        about="the master hangs (SIGSTOP)",
        run=hang,
        group=embedded(sentinel_debug=PROMPT),
        bars=bars.HANG_EARLY,
        trials=5,
    )
)
register(
    Scene(
        name="hang-announced",
        about="the same, with early_promotion=False",
        run=hang,
        group=embedded(sentinel_debug=PROMPT),
        bars=bars.HANG_ANNOUNCED,
        options=ANNOUNCED,
        compares=False,
        trials=3,
    )
)
register(
    Scene(
        name="hang-wakes",
        about="the hung master wakes up 0.3 s after the promotion",
        run=hang_that_wakes,
        group=embedded(sentinel_debug=PROMPT),
        bars=(*bars.HANG_EARLY, *bars.UNTOUCHED_EX_MASTER),
        trials=3,
    )
)
register(
    Scene(
        name="planned",
        about="SENTINEL FAILOVER",
        run=planned,
        bars=(*bars.PLANNED, *bars.UNTOUCHED_EX_MASTER),
        trials=5,
    )
)
register(
    Scene(
        name="coordinated",
        about="SENTINEL FAILOVER ... COORDINATED (Valkey 9)",
        run=coordinated,
        bars=bars.COORDINATED,
        trials=3,
    )
)
for durability in (1, "all"):
    register(
        Scene(
            name=f"planned-durable-{durability}",
            about=f"SENTINEL FAILOVER with durability={durability!r}",
            run=planned,
            bars=bars.DURABLE,
            options={"durability": durability},
            compares=False,
        )
    )
register(
    Scene(
        name="host-crash-durable",
        about='the master dies with writes that no replica has, durability="all"',
        run=host_crash,
        bars=bars.DURABLE,
        options={"durability": "all"},
        compares=False,
    )
)
