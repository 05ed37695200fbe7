"""
A resource that checks the fence is safe through failovers, also those that lose writes.

``LOCK_FAILOVERS=50 python -m pytest tests/recipes/lock -k fenced`` plays more of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.house import ROOT
from tests.recipes.lock.losses import losing, replaced
from tests.recipes.lock.resource import Resource, own

FAILOVERS = int(os.environ.get("LOCK_FAILOVERS", "2"))
FAIR = (False, True) if "LOCK_FAILOVERS" in os.environ else (False,)
KINDS = ("loses", "planned", "crash")


@pytest.mark.slow
@pytest.mark.parametrize("fair", FAIR)
@pytest.mark.timeout(60 + 20 * FAILOVERS)
@pytest.mark.asyncio
async def test_a_fenced_resource_never_sees_two_owners_at_once(
    group: EmbeddedSentinel, fair: bool
) -> None:
    """
    Two clients here and two processes write to it, two tasks each, while the master is replaced:
    by a planned failover, a crash, and a crash of which the replicas know nothing of late.
    """
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(RedisClient(group.settings)) for _ in range(2)
        ]
        resource = await stack.enter_async_context(Resource())
        tasks = [
            asyncio.create_task(own(redis, resource.port, f"here{n}", fair=fair))
            for n, redis in enumerate((first, first, second, second))
        ]
        where = (group.settings.master_name, *(str(each.address) for each in group.sentinels))
        program = (sys.executable, "-m", "tests.recipes.lock.resource", str(resource.port))
        processes = [
            await asyncio.create_subprocess_exec(
                *program, name, "fair" if fair else "-", *where, cwd=ROOT
            )
            for name in ("there", "elsewhere")
        ]
        try:
            for number in range(FAILOVERS):
                await granted(resource, 10)
                await fail_over(group, first, KINDS[number % len(KINDS)])
            await granted(resource, 10)
        finally:
            for process in processes:
                process.kill()
                await process.wait()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    epochs = {fence >> 32 for fence in resource.granted}
    told = (
        f"{len(resource.granted)} grants in {len(epochs)} epochs, {len(resource.writes)} writes "
        f"accepted, {resource.refused} refused, {len(resource.late)} late, {resource.errors}"
    )
    print(told)  # noqa: T201
    assert resource.violations == [], told
    assert resource.interleaved() == [], told
    assert len(epochs) > FAILOVERS, told


async def granted(resource: Resource, more: int) -> None:
    """
    Returns when that many more acquisitions were granted.
    """
    wanted = len(resource.granted) + more
    async with asyncio.timeout(30):
        while len(resource.granted) < wanted:
            await asyncio.sleep(0.01)


async def fail_over(group: EmbeddedSentinel, redis: RedisClient, kind: str) -> None:
    await group.wait_in_sync()
    if kind != "loses":
        await replaced(group, crash=kind == "crash")
        return
    async with asyncio.timeout(30):
        while redis.topology.provisional or not redis.topology.in_rotation:
            await asyncio.sleep(0.05)
    old = group.master
    async with losing(group, redis):
        await asyncio.sleep(0.1)  # of grants that nobody else will know of
    await group.wait_for_failover(old, timeout=45)  # they may have to vote several times
    await group.restart(old)
