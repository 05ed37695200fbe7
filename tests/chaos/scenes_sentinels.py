"""
Faults of sentinels: dead or hung while the master is healthy, and together with the master.
"""

from __future__ import annotations

from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.scenes import PROMPT, Scene, embedded, register

__all__: list[str] = []

ALL = (
    *bars.REACTION,
    *bars.NO_ERRORS_OF_REPEATABLE,
    *bars.ONCE,
    *bars.ON_TIME,
    *bars.NOTHING_LOST,
)


async def two_dead(arena: Arena) -> None:
    for sentinel in arena.group.sentinels[:2]:
        await arena.group.kill(sentinel)
    await arena.calm(1.0)
    await cut_all(arena)


async def one_hung(arena: Arena) -> None:
    await arena.group.pause(arena.group.sentinels[0])
    await arena.calm(1.0)
    await cut_all(arena)


async def cut_all(arena: Arena) -> None:
    """
    Cuts every client's connections to the master, which goes on.
    """
    arena.mark("fault")
    await arena.group.command(arena.group.master, "CLIENT", "KILL", "TYPE", "normal")
    await arena.all_write(arena.group.master)
    await arena.calm(1.0)


async def hung_with_the_master(arena: Arena) -> None:
    arena.old = arena.group.master
    arena.mark("fault")
    await arena.group.pause(arena.group.sentinels[0])
    await arena.group.pause(arena.old)
    await arena.recovered(arena.old)


register(
    Scene(
        name="sentinels-dead",
        about="2 of 3 sentinels are dead; all connections to the healthy master are cut",
        run=two_dead,
        bars=bars.CONNECTIONS_CUT,
    )
)
register(
    Scene(
        name="sentinel-hung",
        about="1 of 3 sentinels hangs; all connections to the healthy master are cut",
        run=one_hung,
        bars=bars.CONNECTIONS_CUT,
    )
)
register(
    Scene(
        name="hung-together",
        about="the master and one sentinel hang",
        run=hung_with_the_master,
        group=embedded(sentinel_debug=PROMPT),
        bars=(*ALL, bars.HANG_EARLY[0]),
        trials=3,
    )
)
register(
    Scene(
        name="short-deadline",
        about="the same, with command_timeout=0.5",
        run=hung_with_the_master,
        bars=(*bars.ON_TIME, *bars.ONCE, *bars.NOTHING_LOST),
        options={"command_timeout": 0.5},
        compares=False,
    )
)
