"""
Faults of replicas: killed, hung, without their link, being refilled.
"""

from __future__ import annotations

import asyncio

from sahool_cache.embedded import Node
from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.scenes import Scene, embedded, register

__all__: list[str] = []

FILLERS = 20_000
FILL = "for n = 1, tonumber(ARGV[1]) do redis.call('SET', 'filler:' .. n, 'x') end"
SLOW_TO_FILL = {
    # Microseconds for each key: a replica that copies everything takes some 2 s for it.
    "key-load-delay": 100,
}


async def killed(arena: Arena) -> None:
    arena.mark("fault")
    await arena.group.kill(arena.group.replicas[0])
    await arena.calm(4.0)


async def hung(arena: Arena) -> None:
    arena.mark("fault")
    await arena.group.pause(arena.group.replicas[0])
    await arena.calm(6.0)


async def link_cut(arena: Arena) -> None:
    # Nobody listens on port 1. The sentinels may mend it after some seconds: then it is cut again.
    replica, master = arena.group.replicas[0], arena.group.master
    arena.mark("fault")
    await _keep(arena, replica, ("127.0.0.1", "1"), seconds=6.0)
    await arena.group.command(replica, "REPLICAOF", *map(str, master.address))
    await arena.calm(2.0)


async def made_a_master(arena: Arena) -> None:
    replica, master = arena.group.replicas[0], arena.group.master
    arena.mark("fault")
    await _keep(arena, replica, ("NO", "ONE"), seconds=6.0)
    await arena.group.command(replica, "REPLICAOF", *map(str, master.address))
    await arena.calm(2.0)


async def _keep(arena: Arena, replica: Node, source: tuple[str, str], *, seconds: float) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await arena.group.command(replica, "REPLICAOF", *source)
        await arena.calm(0.25)


async def lags(arena: Arena) -> None:
    # It hangs for longer than it may lag, and answers at once when it wakes up.
    replica = arena.group.replicas[0]
    arena.mark("fault")
    await arena.group.pause(replica)
    await arena.calm(4.0)
    await arena.group.resume(replica)
    arena.mark("replica wakes")
    await arena.calm(2.0)


async def resyncs(arena: Arena) -> None:
    group, replica, master = arena.group, arena.group.replicas[0], arena.group.master
    await group.command(master, "EVAL", FILL, 0, FILLERS)
    await arena.calm(1.0)
    arena.mark("fault")
    await group.restart(replica, 15.0)  # empty, and filled anew
    arena.mark("replica restarted")
    await arena.calm(4.0)
    # As an ex-master does when it is demoted: what it has is thrown away.
    await group.command(replica, "REPLICAOF", "NO", "ONE")
    await arena.calm(0.1)
    await group.command(replica, "REPLICAOF", *map(str, master.address))
    arena.mark("replica refilled")
    await arena.calm(4.0)


register(Scene(name="replica-killed", about="one replica dies", run=killed, bars=bars.REPLICA_LOST))
register(Scene(name="replica-hung", about="one replica hangs", run=hung, bars=bars.REPLICA_LOST))
register(
    Scene(
        name="replica-cut",
        about="one replica has no link to the master",
        run=link_cut,
        bars=bars.OUT_OF_ROTATION,
    )
)
register(
    Scene(
        name="replica-promoted",
        about="one replica is told to be a master of its own",
        run=made_a_master,
        bars=bars.OUT_OF_ROTATION,
        compares=False,
    )
)
register(
    Scene(
        name="replica-lags",
        about="one replica hangs for 4 s, and wakes up with old data",
        run=lags,
        bars=bars.OUT_OF_ROTATION,
        compares=False,
    )
)
register(
    Scene(
        name="replica-resyncs",
        about="one replica is filled anew, twice, slowly",
        run=resyncs,
        group=embedded(server_config=SLOW_TO_FILL),
        bars=bars.OUT_OF_ROTATION,
    )
)
