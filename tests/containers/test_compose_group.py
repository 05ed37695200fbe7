"""
The compose group as its users meet it: from the host, and by the commands they were given.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from sahool_cache import RedisClient
from tests.containers.compose_group import (
    ADDRESSES,
    CONTAINERS,
    PASSWORD,
    SENTINEL_PORTS,
    SENTINELS,
    SERVER_PORTS,
    SERVERS,
    ComposeGroup,
    compose_group,
    documented_address_map,
)
from tests.docker import cannot_run, docker, run
from tests.house import ROOT

pytestmark = pytest.mark.container

MASTER = SERVERS[0]


@pytest.fixture(scope="module")
def group() -> Iterator[ComposeGroup]:
    group = ComposeGroup()
    with compose_group(group):
        yield group


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.2)


def host(command: str, **environment: str) -> str:
    """
    What the shell command prints on the host, with the real redis-cli.
    """
    if shutil.which("redis-cli") is None:
        cannot_run("redis-cli is not installed on the host")
    return run("sh", "-c", command, env=os.environ | {"REDIS_PASSWORD": PASSWORD} | environment)


def test_the_group_is_published_on_the_loopback_interface_only(group: ComposeGroup) -> None:
    published = []
    for container in json.loads(docker("inspect", *CONTAINERS)):
        for bindings in container["NetworkSettings"]["Ports"].values():
            published += [(each["HostIp"], int(each["HostPort"])) for each in bindings or ()]
    assert sorted(published) == ADDRESSES


def test_the_master_is_found_by_its_label(group: ComposeGroup) -> None:
    own = f"label=com.docker.compose.project={group.project}"
    role = "label=com.sahool.role=master"
    assert docker("ps", "--filter", own, "--filter", role, "--format", "{{.Names}}") == MASTER


def test_each_container_has_its_limits_and_no_rights_that_it_does_not_need(
    group: ComposeGroup,
) -> None:
    for container in json.loads(docker("inspect", *CONTAINERS)):
        limits = container["HostConfig"]
        sentinel = container["Name"].removeprefix("/") in SENTINELS
        assert limits["Memory"] == (128 << 20 if sentinel else 1 << 30)
        assert limits["NanoCpus"] == (500_000_000 if sentinel else 1_000_000_000)
        assert limits["PidsLimit"] == 128
        assert limits["ReadonlyRootfs"]
        assert limits["CapDrop"] == ["ALL"]
        assert limits["SecurityOpt"] == ["no-new-privileges:true"]
        assert limits["RestartPolicy"]["Name"] == "unless-stopped"
        assert limits["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}


def test_memory_ends_below_the_limit_and_data_are_kept_on_disk(group: ComposeGroup) -> None:
    for port in SERVER_PORTS:
        config = group.ask(port, "CONFIG GET", "*")
        assert int(config["maxmemory"]) == 512 << 20
        assert config["maxmemory-policy"] == "noeviction"
        assert config["maxclients"] == "10000"
        assert (config["appendonly"], config["save"]) == ("yes", "3600 1 300 100 60 10000")
        assert (config["min-replicas-to-write"], config["min-replicas-max-lag"]) == ("1", "10")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("redis-cli -p 6379 -a $REDIS_PASSWORD ping", "PONG"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO replication", "connected_slaves:2"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO replication | grep lag", "lag="),
        ("redis-cli -p 6380 -a $REDIS_PASSWORD INFO replication | grep offset", "repl_offset:"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO memory", "used_memory_human:"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO stats", "total_commands_processed:"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO clients", "connected_clients:"),
        ("redis-cli -p 6379 -a $REDIS_PASSWORD INFO cpu", "used_cpu_user:"),
        ("timeout 2 stdbuf -oL redis-cli -p 6379 -a $REDIS_PASSWORD --stat || true", "keys"),
        ("timeout 2 redis-cli -p 6379 -a $REDIS_PASSWORD MONITOR || true", "OK"),
        ('redis-cli -p 6379 -a $REDIS_PASSWORD --scan --pattern "*" && echo all', "all"),
        ("docker exec sahool-redis-master redis-cli -a $REDIS_PASSWORD SAVE", "OK"),
        ("redis-cli -p 26379 ping", "PONG"),
        ("redis-cli -p 26379 INFO sentinel", "status=ok"),
        ("redis-cli -p 26379 SENTINEL masters", "sahool-master"),
        ("redis-cli -p 26379 SENTINEL master sahool-master", "quorum\n2"),
        ("redis-cli -p 26379 SENTINEL master sahool-master", "milliseconds\n5000"),
        ("redis-cli -p 26379 SENTINEL slaves sahool-master", "172.16.79.12:6379"),
        ("redis-cli -p 26379 SENTINEL sentinels sahool-master", "172.16.79.23"),
        ("redis-cli -p 26379 SENTINEL ckquorum sahool-master", "OK 3 usable Sentinels"),
    ],
)
def test_the_documented_commands_answer_on_the_host(
    group: ComposeGroup, command: str, expected: str
) -> None:
    assert expected in host(command).replace("\r", "")


@pytest.mark.asyncio
async def test_the_documented_command_attaches_a_replica_again(group: ComposeGroup) -> None:
    def attached() -> bool:
        state = group.ask(6380, "INFO", "replication")
        return (state["master_host"], state["master_link_status"]) == ("redis-master", "up")

    command = "redis-cli -p 6380 -a $REDIS_PASSWORD REPLICAOF redis-master 6379"
    assert host(command) == "OK"
    await until(attached)
    assert group.ask(6380, "REPLICAOF", "172.16.79.11", "6379") == "OK"


def test_no_password_is_in_a_list_of_processes(group: ComposeGroup) -> None:
    for container in CONTAINERS:
        assert PASSWORD not in docker("top", container)


@pytest.mark.asyncio
async def test_a_client_outside_docker_reaches_all_of_the_group(group: ComposeGroup) -> None:
    async with RedisClient(group.settings()) as redis:
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
        assert sorted(port for _, port in redis.topology.sentinels) == list(SENTINEL_PORTS)


@pytest.mark.asyncio
async def test_a_master_that_has_lost_both_replicas_takes_no_writes(group: ComposeGroup) -> None:
    def refuses() -> bool:
        try:
            group.ask(6379, "SET", "alone", "1")
        except RedisError as error:
            return str(error).startswith("NOREPLICAS")
        return False

    await asyncio.to_thread(docker, "stop", *SERVERS[1:])
    try:
        await until(refuses, 30)
    finally:
        await asyncio.to_thread(docker, "start", *SERVERS[1:])
    await until(lambda: not refuses())
    await asyncio.to_thread(group.wait_until_healthy)


@pytest.mark.asyncio
async def test_a_stopped_master_is_replaced_and_returns_as_a_replica(group: ComposeGroup) -> None:
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        await redis.set("before", "1")
        await asyncio.to_thread(docker, "stop", MASTER)
        await redis.set("during", "2")  # no attempt of the caller's own: the call waits
        assert redis.topology.master in ADDRESSES[1:3]
        assert await redis.get("before") == "1"

        await asyncio.to_thread(docker, "start", MASTER)
        await until(lambda: ADDRESSES[0] in redis.topology.in_rotation)
        assert redis.topology.master in ADDRESSES[1:3]
        await redis.set("after", "3")

    replication = group.ask(6379, "INFO", "replication")
    assert (replication["role"], replication["master_link_status"]) == ("slave", "up")
    assert group.ask(6379, "GET", "during") == "2"


@pytest.mark.asyncio
async def test_the_documented_failover_moves_the_master(group: ComposeGroup) -> None:
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        await redis.set("k", "v")
        before = redis.topology.master
        assert host("redis-cli -p 26379 SENTINEL failover sahool-master") == "OK"
        await until(lambda: redis.topology.master != before)
        await redis.set("k", "w")
    await asyncio.to_thread(group.wait_until_healthy)


@pytest.mark.asyncio
async def test_roles_and_data_outlive_a_restart_of_everything(group: ComposeGroup) -> None:
    """
    The master that is kept is, after the tests above, not the one that the file begins with.
    """
    async with RedisClient(group.settings()) as redis:
        await redis.set("kept", "4")
        master = redis.topology.master

    await asyncio.to_thread(group.compose, "restart")
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        assert await redis.get("kept") == "4"
        assert redis.topology.master == master


@pytest.mark.asyncio
async def test_a_new_password_takes_effect_and_nothing_is_lost(group: ComposeGroup) -> None:
    changed = ComposeGroup(
        variables={"REDIS_PASSWORD": "new"},
        client={"password": "new"},
        admin={"username": "sahool-admin", "password": "new"},
    )
    changed.project = group.project
    await asyncio.to_thread(changed.up)
    async with RedisClient(changed.settings(command_timeout=40.0)) as redis:
        assert await redis.get("kept") == "4"
        await redis.set("kept", "5")
    assert changed.refusals() == []
