"""
The same group of Valkey, by changing one variable; others say how much it may have.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator

import pytest

from sahool_cache import RedisClient
from tests.containers.compose_group import (
    ADDRESSES,
    SERVER_PORTS,
    SERVERS,
    ComposeGroup,
    compose_group,
)
from tests.docker import cannot_run, docker, has_image

pytestmark = pytest.mark.container

IMAGE = os.environ.get("VALKEY_IMAGE", "valkey/valkey:9")
SMALL = {
    "REDIS_MAXMEMORY": "64mb",
    "REDIS_MAXMEMORY_POLICY": "allkeys-lru",
    "REDIS_MEMORY_LIMIT": "150m",
    "REDIS_CPUS": "0.5",
    "REDIS_MIN_REPLICAS": "0",
}


@pytest.fixture(scope="module")
def group() -> Iterator[ComposeGroup]:
    if not has_image(IMAGE):
        cannot_run(f"there is no image {IMAGE}; VALKEY_IMAGE names another")
    group = ComposeGroup(variables={"REDIS_IMAGE": IMAGE} | SMALL)
    with compose_group(group):
        yield group


def test_variables_say_how_much_a_server_may_have(group: ComposeGroup) -> None:
    for container in json.loads(docker("inspect", *SERVERS)):
        assert container["HostConfig"]["Memory"] == 150 << 20
        assert container["HostConfig"]["NanoCpus"] == 500_000_000
    for port in SERVER_PORTS:
        config = group.ask(port, "CONFIG GET", "*")
        assert int(config["maxmemory"]) == 64 << 20
        assert config["maxmemory-policy"] == "allkeys-lru"
        assert config["min-replicas-to-write"] == "0"


@pytest.mark.asyncio
async def test_the_image_alone_makes_it_a_group_of_valkey(group: ComposeGroup) -> None:
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        await redis.set("k", "v")
        assert (await redis.info("server"))["server_name"] == "valkey"
        await asyncio.to_thread(docker, "stop", SERVERS[0])
        await redis.set("k", "w")
        assert redis.topology.master in ADDRESSES[1:3]
        await asyncio.to_thread(docker, "start", SERVERS[0])
        await asyncio.to_thread(group.wait_until_healthy)

        # Valkey's own way: the sentinels' user pauses the clients, and the master hands over.
        before = redis.topology.master
        group.ask(26379, "SENTINEL", "FAILOVER", "sahool-master", "COORDINATED")
        async with asyncio.timeout(60):
            while redis.topology.master == before:
                await asyncio.sleep(0.2)
        await redis.set("k", "x")
    await asyncio.to_thread(group.wait_until_healthy)
    assert group.refusals() == []
