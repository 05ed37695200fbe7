"""
Failovers on demand, also ones that lose what the master has acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["losing", "replaced"]

JUNK = b"x" * (24 << 20)
"""More than the kernel keeps of a connection that nobody reads."""


@asynccontextmanager
async def losing(group: EmbeddedSentinel, redis: RedisClient) -> AsyncIterator[None]:
    """
    What is written in this block is on the master only. At its end the master is killed, and the
    replicas go on without it.
    """
    replicas = group.replicas
    for replica in replicas:
        await group.pause(replica)
    await redis.set("junk", JUNK)
    try:
        yield
        await group.kill_master()
    finally:
        for replica in replicas:
            await group.resume(replica)


async def replaced(group: EmbeddedSentinel, *, crash: bool) -> None:
    """
    Returns when another master serves; the old one is up again, or will be demoted soon.

    A planned failover may come to nothing: another sentinel demotes the promoted one before the
    leader has seen it. It is asked for again then.
    """
    if crash:
        old = await group.kill_master()
        # The sentinels may have to vote several times, with seconds in between.
        await group.wait_for_failover(old, timeout=45)
        await group.restart(old)
        return
    for _ in range(5):
        try:
            await group.wait_for_failover(await group.failover(), timeout=6)
        except TimeoutError:
            continue
        return
    raise TimeoutError("no planned failover came to an end")
