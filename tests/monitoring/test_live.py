"""
Faults are provoked in a real group, and the alerts fire; the dashboard's queries find data.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError  # noqa: A004  # the server's, not the system's

from sahool_cache.embedded import Node
from tests.monitoring import dashboard
from tests.monitoring.programs import path
from tests.monitoring.prometheus import fetch, until
from tests.monitoring.stack import PASSWORD, Stack, stack

pytestmark = [pytest.mark.monitoring, pytest.mark.asyncio]


@asynccontextmanager
async def repeating(action: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """
    Does it again and again meanwhile; refusals are what it is for.
    """

    async def repeat() -> None:
        while True:
            try:
                await action()
            except Exception:  # noqa: BLE001  # the server's own words are looked at by the alert
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_group_that_is_well_is_quiet_and_the_dashboard_finds_all_of_it(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path) as it:
        prometheus = it.prometheus
        assert await prometheus.query("count(redis_up) == 6")
        await until(lambda: noise(it), 90)

        old = await it.group.failover()
        await it.group.wait_for_failover(old)
        await prometheus.until_firing("RedisMasterChanged")
        for name, (metric, label) in dashboard.variables().items():
            values = await prometheus.query(f"count by ({label}) ({metric})")
            assert values, f"the variable {name} has no values"

        async def without_data() -> list[str] | None:
            queries = dashboard.queries().items()
            return [name for name, expr in queries if not await prometheus.query(expr)] or None

        await until(without_data, 60)
        lint(await fetch(it.metrics))


def lint(metrics: str) -> None:
    """
    What promtool says of names, types and help.
    """
    ours = [line for line in metrics.splitlines() if "sahool_cache_" in line]
    done = subprocess.run(
        (path("promtool"), "check", "metrics"),
        input="\n".join([*ours, ""]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def noise(it: Stack) -> object:
    """
    What has fired within five seconds in which all rules were looked at; None is none.
    """
    if not await it.prometheus.query("count_over_time(group:redis_masters:count[5s]) >= 4"):
        return "the rules have not been looked at yet"
    return await it.prometheus.query('count_over_time(ALERTS{alertstate="firing"}[5s])') or None


async def test_a_server_that_is_full_or_cannot_persist_is_reported(tmp_path: Path) -> None:
    async with (
        stack(tmp_path, **{"enable-protected-configs": "yes"}) as it,
        connected(it.group.master) as master,
    ):
        prometheus = it.prometheus
        used = (await master.info("memory"))["used_memory"]
        await master.config_set("maxmemory", used + 50_000)
        async with repeating(lambda: master.set("filler", "x" * 100_000)):
            await prometheus.until_firing("RedisMemoryHigh", "RedisWritesRefused")
        await master.config_set("maxmemory-policy", "allkeys-lru")
        async with repeating(lambda: master.set(f"filler:{time.monotonic_ns()}", "x" * 10_000)):
            await prometheus.until_firing("RedisEvictions")
        await master.config_set("maxmemory", 0)

        await master.config_set("maxclients", 1)
        with pytest.raises(ConnectionError, match="max number of clients"):
            async with connected(it.group.master):
                pass
        await master.config_set("maxclients", 10_000)
        await prometheus.until_firing("RedisRejectedConnections")

        gone = tmp_path / "gone"
        gone.mkdir()
        await master.config_set("dir", str(gone))
        gone.rmdir()
        await master.bgsave()
        await prometheus.until_firing("RedisPersistenceFailing")


async def test_what_is_wrong_with_replicas_is_reported(tmp_path: Path) -> None:
    async with stack(tmp_path) as it, connected(it.group.master) as master:
        group, prometheus = it.group, it.prometheus
        locked_out, silent = group.replicas
        await master.config_set("repl-backlog-size", "100kb")
        await master.config_set("repl-timeout", 60)  # longer than the lag that is reported
        await group.pause(silent)
        await master.set("filler", "x" * 200_000)
        await prometheus.until_firing("RedisReplicationBacklog", "RedisReplicationLag")
        await group.resume(silent)

        async with connected(locked_out) as replica:
            await replica.config_set("masterauth", "wrong")
            await master.execute_command("CLIENT", "KILL", "TYPE", "replica")
            await prometheus.until_firing("RedisReplicationBroken", "RedisReplicaMissing")

            await replica.config_set("masterauth", PASSWORD)
            await replica.execute_command("REPLICAOF", "NO", "ONE")
            await prometheus.until_firing("RedisTwoMasters")


async def test_lost_sentinels_and_then_the_master_are_reported(tmp_path: Path) -> None:
    async with stack(tmp_path) as it:
        group, prometheus = it.group, it.prometheus
        last, *others = group.sentinels
        await group.command(others[0], "SENTINEL", "REMOVE", "sahool-master")
        replica = group.replicas[0].address
        await group.command(others[0], "SENTINEL", "MONITOR", "sahool-master", *replica, 2)
        await prometheus.until_firing("SentinelsDisagree")

        for sentinel in others:
            await group.kill(sentinel)
        await prometheus.until_firing("SentinelDown", "SentinelQuorumLost")

        await group.pause(last)
        await asyncio.sleep(3)  # more than 2 s between two looks at its clock is what it minds
        await group.resume(last)
        await prometheus.until_firing("SentinelTilt")

        await group.kill_master()
        await prometheus.until_firing(
            *("RedisDown", "RedisNoMaster"),
            *("ClientOutage", "ClientWaiting", "ClientBreakerOpen"),
        )


async def test_monitoring_that_fails_itself_is_reported_and_nothing_else_for_it(
    tmp_path: Path,
) -> None:
    async with stack(tmp_path) as it:
        await until(lambda: noise(it), 90)
        it.client.kill()
        it.exporter.kill()
        await it.prometheus.until_firing("ClientDown", "RedisExporterDown")
        await until(lambda: only(it, {"ClientDown", "RedisExporterDown"}), 60)


async def only(it: Stack, names: set[str]) -> str | None:
    firing = set(await it.prometheus.firing())
    return None if firing == names else f"firing: {sorted(firing)}"


@asynccontextmanager
async def connected(node: Node) -> AsyncIterator[Redis]:
    """
    One connection to that node, which is kept whatever befalls others.
    """
    host, port = node.address
    async with Redis(
        host=host, port=port, password=PASSWORD, single_connection_client=True, retry=None
    ) as redis:
        await redis.ping()
        yield redis
