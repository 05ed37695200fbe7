"""
The compose group as its users meet it: from the host, and by the commands they were given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sahool_cache import RedisClient
from tests.containers.compose_group import (
    FILE,
    PASSWORD,
    PORTS,
    SENTINELS,
    SERVERS,
    ComposeGroup,
    compose_group,
    documented_address_map,
    settings,
)
from tests.docker import compose_command, docker, run
from tests.house import ROOT

pytestmark = pytest.mark.container

MASTER, SENTINEL = SERVERS[0], SENTINELS[0]
ADDRESSES = [("127.0.0.1", port) for port in PORTS]


@pytest.fixture(scope="module")
def group() -> Iterator[ComposeGroup]:
    with compose_group() as group:
        yield group


def test_only_the_password_has_to_be_set(tmp_path: Path) -> None:
    """
    Away from the checkout's own directory, and so from any `.env` of the developer's.
    """
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    config = (*compose_command(), "--file", str(FILE), "config")
    with pytest.raises(AssertionError, match="set it in the environment"):
        run(*config, env=env)
    assert "redis:8" in run(*config, env=env | {"REDIS_PASSWORD": "x"})


def test_the_group_is_published_on_the_loopback_interface_only(group: ComposeGroup) -> None:
    published = []
    for container in json.loads(docker("inspect", *SERVERS, *SENTINELS)):
        for bindings in container["NetworkSettings"]["Ports"].values():
            published += [(each["HostIp"], int(each["HostPort"])) for each in bindings or ()]
    assert sorted(published) == ADDRESSES


def test_the_master_is_found_by_its_label(group: ComposeGroup) -> None:
    own = f"label=com.docker.compose.project={group.project}"
    role = "label=com.sahool.role=master"
    assert docker("ps", "--filter", own, "--filter", role, "--format", "{{.Names}}") == MASTER


@pytest.mark.parametrize(
    ("container", "command", "expected"),
    [
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD ping", "PONG"),
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO replication", "connected_slaves:2"),
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO memory", "used_memory_human:"),
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO stats", "total_commands_processed:"),
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO clients", "connected_clients:"),
        (MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO cpu", "used_cpu_user:"),
        (MASTER, "redis-cli -a $REDIS_PASSWORD SAVE", "OK"),
        (SENTINEL, "redis-cli -p 26379 ping", "PONG"),
        (SENTINEL, "redis-cli -p 26379 INFO sentinel", "status=ok"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL masters", "sahool-master"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL master sahool-master", "quorum\n2"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL master sahool-master", "milliseconds\n5000"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL slaves sahool-master", "172.16.79.12:6379"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL sentinels sahool-master", "172.16.79.23"),
        (SENTINEL, "redis-cli -p 26379 SENTINEL ckquorum sahool-master", "OK 3 usable Sentinels"),
    ],
)
def test_the_documented_commands_answer(
    group: ComposeGroup, container: str, command: str, expected: str
) -> None:
    assert expected in group.shell(container, command).replace("\r", "")


@pytest.mark.asyncio
async def test_a_client_outside_docker_reaches_all_of_the_group(group: ComposeGroup) -> None:
    async with RedisClient(settings()) as redis:
        await redis.set("k", "v", ex=60)
        assert await redis.get("k") == "v"
        assert redis.topology.master == ADDRESSES[0]
        assert sorted(redis.topology.replicas) == ADDRESSES[1:3]
        assert sorted(redis.topology.sentinels) == ADDRESSES[3:]
        assert (await redis.health_check())["status"] == "healthy"


@pytest.mark.asyncio
async def test_the_documented_environment_finds_the_group(
    group: ComposeGroup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    `.env.example` names one sentinel three times; the client learns of the two others.
    """
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(
        f"{example}\nREDIS_ADDRESS_MAP={documented_address_map()}\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)
    async with RedisClient.from_env() as redis:
        assert await redis.ping() is True
        assert redis.topology.master == ADDRESSES[0]
        async with asyncio.timeout(10):
            while len(redis.topology.sentinels) < 3:
                await asyncio.sleep(0.1)
        assert sorted(port for _, port in redis.topology.sentinels) == list(PORTS[3:])


@pytest.mark.asyncio
async def test_a_stopped_master_is_replaced_and_returns_as_a_replica(group: ComposeGroup) -> None:
    async with RedisClient(settings(command_timeout=40.0)) as redis:
        await redis.set("before", "1")
        await asyncio.to_thread(docker, "stop", MASTER)
        await redis.set("during", "2")  # no attempt of the caller's own: the call waits
        assert redis.topology.master in ADDRESSES[1:3]
        assert await redis.get("before") == "1"

        await asyncio.to_thread(docker, "start", MASTER)
        async with asyncio.timeout(90):
            while ADDRESSES[0] not in redis.topology.in_rotation:
                await asyncio.sleep(0.2)
        assert redis.topology.master in ADDRESSES[1:3]
        await redis.set("after", "3")

    replication = group.shell(MASTER, "redis-cli -p 6379 -a $REDIS_PASSWORD INFO replication")
    assert "role:slave" in replication
    assert "master_link_status:up" in replication
    assert group.shell(MASTER, "redis-cli -a $REDIS_PASSWORD GET during") == "2"


@pytest.mark.asyncio
async def test_roles_and_data_outlive_a_restart_of_everything(group: ComposeGroup) -> None:
    """
    The master that is kept is, after the test above, not the one that the file begins with.
    """
    async with RedisClient(settings()) as redis:
        await redis.set("kept", "4")
        master = redis.topology.master

    await asyncio.to_thread(group.compose, "restart")
    async with RedisClient(settings(command_timeout=40.0)) as redis:
        assert await redis.get("kept") == "4"
        assert redis.topology.master == master
