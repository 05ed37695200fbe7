"""
The group with users only: passwords are files, the password's own user is off, `make up` starts it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError

from sahool_cache import RateLimiter, RedisClient
from tests.containers.compose_group import (
    ADDRESSES,
    CONTAINERS,
    PORTS,
    SERVERS,
    ComposeGroup,
    compose_group,
    copy_compose,
)
from tests.docker import docker, run

pytestmark = pytest.mark.container

NAMES = ("app", "replication", "sentinel_user", "monitoring", "backup", "admin")
PASSWORDS = {name: f"""{name}'s "own" \\pass$word""" for name in NAMES}
PASSWORDS["default"] = "nobody's"


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeGroup]:
    directory = tmp_path_factory.mktemp("checkout") / "compose"
    copy_compose(directory)
    for name, password in PASSWORDS.items():
        file = "redis_password" if name == "default" else f"redis_{name}_password"
        path = directory / "secrets" / file
        path.write_text(f"{password}\n", encoding="utf-8")
        path.chmod(0o640)  # of the tests' own group, which the containers are given
    directory.with_name(".env").write_text(
        f"REDIS_DEFAULT_USER=off\nREDIS_SECRETS_GROUP={os.getgid()}\n", encoding="utf-8"
    )
    app = PASSWORDS["app"]
    group = ComposeGroup(
        directory=directory,
        client={
            "username": "sahool-app",
            "password": app,
            "sentinel_username": "sahool-app",
            "sentinel_password": app,
        },
        admin={"username": "sahool-admin", "password": PASSWORDS["admin"]},
    )
    for name in ("REDIS_DEFAULT_USER", "REDIS_SECRETS_GROUP", "REDIS_SECRETS"):
        del group.variables[name]  # `.env` and the defaults have a say here
    group.variables |= {"REDIS_PASSWORD": "", "WITHOUT": "redis-exporter prometheus grafana"}
    with compose_group(group, lambda: run(f"{directory}/group.sh", "up", env=group.environment)):
        yield group


def test_no_password_is_in_what_docker_tells(group: ComposeGroup) -> None:
    for container in CONTAINERS:
        told = docker("inspect", container) + docker("top", container) + docker("logs", container)
        for password in PASSWORDS.values():
            assert password.split()[0] not in told


@pytest.mark.parametrize("file", ["users.acl", "*.conf"])
def test_no_file_of_passwords_is_open_to_another_user(group: ComposeGroup, file: str) -> None:
    for container in CONTAINERS:
        look = ("exec", "--workdir", "/", container, "sh", "-c", f"cd /data; sed -n p {file}")
        assert docker(*look)
        with pytest.raises(AssertionError, match="denied"):
            docker("exec", "--user", "12345:12345", *look[1:])


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("password", [None, PASSWORDS["default"]])
def test_nobody_comes_in_without_a_name(
    group: ComposeGroup, port: int, password: str | None
) -> None:
    with pytest.raises(AuthenticationError):
        group.ask(port, "PING", username=None, password=password)


# user, port, what it does, what is refused
RIGHTS = [
    ("app", 6379, "SET k 1", "FLUSHALL"),
    ("app", 6379, "LPUSH list 1", "CONFIG GET masterauth"),
    ("app", 6379, "INFO", "KEYS *"),
    ("app", 6379, "ROLE", "REPLICAOF NO ONE"),
    ("app", 6379, "CLIENT UNBLOCK 1", "CLIENT KILL TYPE normal"),
    ("app", 6379, "EVAL return(1) 0", "SHUTDOWN"),
    ("app", 6379, "CLIENT ID", "ACL LIST"),
    ("app", 26379, "SENTINEL MASTER sahool-master", "SENTINEL FAILOVER sahool-master"),
    ("app", 26379, "SENTINEL MYID", "SENTINEL RESET *"),
    ("replication", 6379, "REPLCONF capa eof", "GET k"),
    ("sentinel_user", 6379, "INFO", "GET k"),
    ("sentinel_user", 6379, "PUBLISH __sentinel__:hello x", "PUBLISH other x"),
    ("sentinel_user", 6379, "CLIENT KILL TYPE pubsub", "CONFIG GET masterauth"),
    ("sentinel_user", 26379, "PING", "SENTINEL FAILOVER sahool-master"),
    ("monitoring", 6379, "INFO all", "GET k"),
    ("monitoring", 6379, "SLOWLOG GET", "CONFIG GET masterauth"),
    ("monitoring", 6379, "LATENCY LATEST", "MONITOR"),
    ("monitoring", 26379, "SENTINEL CKQUORUM sahool-master", "SENTINEL FAILOVER sahool-master"),
    ("monitoring", 26379, "SENTINEL MASTERS", "SENTINEL RESET *"),
    ("backup", 6379, "ROLE", "GET k"),
    ("backup", 26379, "SENTINEL REPLICAS sahool-master", "SENTINEL FAILOVER sahool-master"),
    ("admin", 6379, "CONFIG GET masterauth", None),
    ("admin", 26379, "SENTINEL FLUSHCONFIG", None),
]


@pytest.mark.parametrize(("user", "port", "done", "refused"), RIGHTS)
def test_a_user_does_its_work_and_no_more(
    group: ComposeGroup, user: str, port: int, done: str, refused: str | None
) -> None:
    login = {"username": f"sahool-{user.removesuffix('_user')}", "password": PASSWORDS[user]}
    group.ask(port, *done.split(), **login)
    if refused is not None:
        with pytest.raises(NoPermissionError):
            group.ask(port, *refused.split(), **login)
    group.ask(port, "ACL LOG", "RESET")


def test_the_backup_user_takes_a_snapshot_of_a_replica(group: ComposeGroup) -> None:
    command = "redis-cli --user sahool-backup --rdb /data/copy.rdb"
    told = group.shell(SERVERS[1], f"{command} 2>&1", REDISCLI_AUTH=PASSWORDS["backup"])
    assert "Transfer finished with success" in told


@pytest.mark.asyncio
async def test_the_application_works_as_its_user_through_a_failover(group: ComposeGroup) -> None:
    """
    With the near cache, scripts, pipelines and durable writes; nobody is refused anything.
    """
    async with RedisClient(group.settings(command_timeout=40.0, near_cache=True)) as redis:
        await redis.set("k", "v", ex=60)
        assert await redis.get("k") == "v"
        assert await redis.get("k", use_slave=True) in ("v", None)
        assert await RateLimiter(5, 60, client=redis).is_allowed("someone")
        async with redis.pipeline() as pipe:
            assert await pipe.set("a", "1").incr("a").execute() == [True, 2]
        await redis.with_options(durability=1).set("sure", "1")
        assert (await redis.health_check())["status"] == "healthy"

        await asyncio.to_thread(docker, "stop", SERVERS[0])
        await redis.set("k", "w")
        assert redis.topology.master in ADDRESSES[1:3]
        await asyncio.to_thread(docker, "start", SERVERS[0])
    await asyncio.to_thread(group.wait_until_healthy)
    assert group.refusals() == []


@pytest.mark.asyncio
async def test_users_and_transactions_outlive_a_restart_of_everything(group: ComposeGroup) -> None:
    """
    What stands in the append-only file between MULTI and EXEC is checked for the rights of the
    default user when it is loaded (Redis 7.0), though that user is off.
    """

    def users() -> list[object]:
        return [{frozenset(user.split()) for user in group.ask(p, "ACL LIST")} for p in PORTS]

    before = users()
    assert before[0] == before[1] == before[2]
    assert before[3] == before[4] == before[5]
    await asyncio.to_thread(group.compose, "restart")
    await asyncio.to_thread(group.wait_until_healthy)
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        assert await redis.get("a") == "2"
    assert users() == before
    assert group.refusals() == []
