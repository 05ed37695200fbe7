from __future__ import annotations

import json

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli


def test_a_group_in_order_is_a_tree_and_its_sentinels_agree(
    calm_group: EmbeddedSentinel, here: Cli
) -> None:
    done = here("topology", settings=calm_group.settings)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "✓ sahool-master is healthy: epoch 0"
    assert f"✓ master {calm_group.master.address}" in lines
    for replica in calm_group.replicas:
        assert any(line.endswith(f"── ✓ replica {replica.address}") for line in lines)
    for sentinel in calm_group.sentinels:
        assert f"✓ sentinel {sentinel.address}: epoch 0, quorum 2" in lines


def test_what_is_announced_is_told_beside_what_is_dialled(
    calm_group: EmbeddedSentinel, here: Cli
) -> None:
    nodes = (calm_group.master, *calm_group.replicas, *calm_group.sentinels)
    mapped = ",".join(f"{node.address}=localhost:{node.port}" for node in nodes)
    first = calm_group.sentinels[0].port
    options: dict[str, str] = {
        "REDIS_ADDRESS_MAP": mapped,
        "REDIS_SENTINELS": f"localhost:{first}",
        "REDIS_MASTER_NAME": "sahool-master",
        "REDIS_PASSWORD": "s3cret",
    }
    done = here("topology", **options)
    assert done.returncode == 0, done.stdout
    for node in nodes:
        assert f"localhost:{node.port} (announced as {node.address})" in done.stdout
    found = json.loads(here("topology", "--json", **options).stdout)
    assert len(found["servers"]) == len(found["sentinels"]) == 3, "nobody is told twice"
    for each in found["servers"] + found["sentinels"]:
        port = each["address"].rpartition(":")[2]
        assert (each["address"], each["announced"]) == (f"localhost:{port}", f"127.0.0.1:{port}")
    assert {each["follows"] for each in found["servers"][1:]} == {str(calm_group.master.address)}


@pytest.mark.asyncio
async def test_a_sentinel_that_disagrees_is_marked_and_degrades(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        odd, dead = group.sentinels[1], group.sentinels[2]
        await group.command(odd, "SENTINEL", "SET", "sahool-master", "quorum", "3")
        await group.kill(dead)
        done = here("topology", "--within", "1", settings=group.settings)
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert any(
            line.startswith(f"! sentinel {odd.address}: disagrees: quorum 3") for line in lines
        )
        assert f"! sentinel {dead.address}: connection refused" in lines


@pytest.mark.asyncio
async def test_a_healthy_group_whose_sentinels_disagree_is_degraded(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        odd = group.sentinels[2]
        await group.command(
            odd, "SENTINEL", "SET", "sahool-master", "down-after-milliseconds", "7000"
        )
        done = here("topology", "--json", settings=group.settings)
        found = json.loads(done.stdout)
        assert (done.returncode, found["status"]) == (1, "healthy")
        odd_one = next(each for each in found["sentinels"] if each["disagrees"])
        assert odd_one["address"] == str(odd.address)
        assert odd_one["disagrees"] == ["down-after 7.0"]


@pytest.mark.asyncio
async def test_a_replica_that_follows_somebody_else_is_marked(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        stray, other = group.replicas
        for sentinel in group.sentinels:  # they would mend it
            await group.pause(sentinel)
        await group.command(stray, "REPLICAOF", other.host, str(other.port))
        await group.resume(group.sentinels[0])
        done = here("topology", "--within", "1", settings=group.settings)
        assert done.returncode == 1
        assert f"! replica {stray.address}: follows {other.address}" in done.stdout


@pytest.mark.asyncio
async def test_a_lost_group_is_down(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        master = group.master
        await group.kill(master)
        done = here("topology", "--within", "0.5", settings=group.settings)
        assert done.returncode == 2
        assert f"✗ master {master.address}: connection refused" in done.stdout
        for node in (*group.replicas, *group.sentinels):
            await group.kill(node)
        done = here("topology", "--json", "--within", "0.5", settings=group.settings)
        assert (done.returncode, json.loads(done.stdout)["servers"]) == (2, [])
