"""
The epoch of the master that a lock is taken on.

A fence must be higher than every one given before. A failover may lose its counter like any other
write, so Sentinel's config-epoch stands in its upper bits: within an epoch one master counts,
and the next epoch begins above all of them. That holds if no master is ever given an epoch that is
older than its own; one that was promoted without the newest counter would repeat a number. (An old
master that nobody has told goes on with its own epoch: its numbers are lower, and the resource
refuses them.) Three things see to it:

- A master that was followed early, on its own word, has no epoch yet: it is waited for.
- A call may be held in line through a failover, and then runs on a master that was not known when
  the epoch was written down. So a grant counts only if the snapshot of the group is the very same
  object before the call and after it: every change publishes another, also one that is taken back.
  Otherwise the lock is taken again, by the same token, with the epoch of now. The number that the
  stale call was given was told to nobody, and no other owner can have come in between.
- A process that slept through two failovers knows the master's address and an old epoch, and
  nothing changes while it asks. So the server compares: where it has no counter, or another
  server, by its replication id, gave the last number and the epoch is not newer, it gives none,
  and the sentinels are asked first.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from sahool_cache.client import RedisClient
from sahool_cache.errors import DeadlineExceededError
from sahool_cache.routing.topology import Topology

__all__ = ["ask_sentinels", "confirmed"]


async def confirmed(client: RedisClient, limit: float) -> Topology:
    """
    The snapshot of the group, once it has a master whose epoch is known; no I/O where it has.

    Raises `UnavailableError` when it has none at `limit`, a moment of `time.monotonic`.
    """
    topology = client.topology
    if topology.master is not None and not topology.provisional:
        return topology
    events = client.events()  # before the next look, so that no change is missed
    try:
        async with asyncio.timeout(max(0.0, limit - monotonic())):
            while (topology := client.topology).master is None or topology.provisional:
                if topology.master is None:
                    await client.wait_ready(max(0.001, limit - monotonic()))
                else:
                    await anext(events, None)
    except TimeoutError as error:
        raise DeadlineExceededError(
            "the epoch of the new master was not confirmed in time"
        ) from error
    return topology


async def ask_sentinels(client: RedisClient, limit: float) -> None:
    """
    Returns when the snapshot of the group is what the sentinels said after this was called; those
    that answer, one at least.

    Raises `DeadlineExceededError` at `limit`.
    """
    try:
        async with asyncio.timeout(max(0.0, limit - monotonic())):
            rounds = 0
            while rounds < 2:  # the first answers may be to questions that were under way
                asked = monotonic()
                info = await client.get_sentinel_info()
                in_time = monotonic() - asked < client.settings.command_timeout
                rounds += in_time and any(each["answers"] for each in info["sentinels"])
    except TimeoutError as error:
        raise DeadlineExceededError("the sentinels did not answer in time") from error
