"""
The group with `docker-compose.tls.yml`, where a client needs a certificate, and a password for
the sentinels as well.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from sahool_cache import RedisClient, TLSSettings
from tests.containers.compose_group import (
    ADDRESSES,
    COMPOSE,
    FILE,
    PASSWORD,
    PORTS,
    SENTINEL_PORTS,
    SENTINELS,
    SERVER_PORTS,
    SERVERS,
    TLS_FILE,
    ComposeGroup,
    compose_group,
)
from tests.docker import docker, run
from tests.monitoring.prometheus import fetch

pytestmark = pytest.mark.container

SENTINEL_PASSWORD = 'the "sentinels"'


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make(directory)
    return directory


@pytest.fixture(scope="module")
def group(certificates: Path) -> Iterator[ComposeGroup]:
    client = certificates / "client"
    group = ComposeGroup(
        files=(FILE, TLS_FILE),
        variables={
            "REDIS_CERTIFICATES": str(certificates),
            "REDIS_SECRETS_GROUP": str(os.getgid()),
            "REDIS_CLIENT_CERTIFICATES": "yes",
            "REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD,
        },
        client={
            "password": PASSWORD,
            "sentinel_password": SENTINEL_PASSWORD,
            "tls": TLSSettings(
                ca_file=client / "ca.crt",
                cert_file=client / "client.crt",
                key_file=client / "client.key",
            ),
        },
        admin={
            "username": "sahool-admin",
            "password": PASSWORD,
            "host": "127.0.0.1",
            "ssl": True,
            "ssl_check_hostname": True,
            "ssl_ca_certs": str(client / "ca.crt"),
            "ssl_certfile": str(client / "client.crt"),
            "ssl_keyfile": str(client / "client.key"),
        },
    )
    with compose_group(group):
        yield group


def make(directory: Path) -> None:
    run(
        str(COMPOSE / "make-certificates.sh"),
        env=os.environ
        | {"REDIS_CERTIFICATES": str(directory), "REDIS_SECRETS_GROUP": str(os.getgid())},
    )


def shown(port: int, directory: Path) -> bytes:
    """
    The certificate that is shown to a client which verifies it for 127.0.0.1.
    """
    context = ssl.create_default_context(cafile=directory / "ca.crt")
    context.load_cert_chain(directory / "client" / "client.crt", directory / "client/client.key")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


@pytest.mark.parametrize("port", PORTS)
def test_a_plain_connection_is_not_served(group: ComposeGroup, port: int) -> None:
    with pytest.raises(RedisConnectionError):
        group.ask(port, "PING", ssl=False)


@pytest.mark.parametrize("port", PORTS)
def test_a_client_without_a_certificate_is_not_served(group: ComposeGroup, port: int) -> None:
    with pytest.raises(RedisConnectionError):
        group.ask(port, "PING", ssl_certfile=None, ssl_keyfile=None)


@pytest.mark.parametrize("port", SENTINEL_PORTS)
def test_a_sentinel_asks_for_the_sentinels_password(group: ComposeGroup, port: int) -> None:
    for password in (None, PASSWORD):
        with pytest.raises(AuthenticationError):
            group.ask(port, "PING", username=None, password=password)
    assert group.ask(port, "PING", username=None, password=SENTINEL_PASSWORD)


@pytest.mark.asyncio
async def test_a_client_verifies_whom_it_reaches_through_the_address_map_and_a_failover(
    group: ComposeGroup,
) -> None:
    """
    The servers announce 172.16.79.x, the client dials 127.0.0.1, and both are in the certificates.
    """
    async with RedisClient(group.settings(command_timeout=40.0)) as redis:
        await redis.set("k", "v")
        assert await redis.get("k", use_slave=True) in ("v", None)
        assert sorted(redis.topology.sentinels) == ADDRESSES[3:]
        assert (await redis.health_check())["status"] == "healthy"
        await asyncio.to_thread(docker, "stop", SERVERS[0])
        await redis.set("k", "w")
        assert redis.topology.master in ADDRESSES[1:3]
        await asyncio.to_thread(docker, "start", SERVERS[0])
    await asyncio.to_thread(group.wait_until_healthy)
    assert group.refusals() == []


@pytest.mark.asyncio
async def test_the_monitoring_asks_over_tls_and_shows_its_certificate(group: ComposeGroup) -> None:
    prometheus = await group.up_with_monitoring()
    assert len(await prometheus.query("redis_up == 1")) == 6
    assert "redis_up 1\n" in await fetch("http://127.0.0.1:9121/metrics")
    assert (await prometheus.ask("rules"))["groups"]


@pytest.mark.asyncio
async def test_certificates_are_renewed_under_load_without_an_error(
    group: ComposeGroup, certificates: Path
) -> None:
    """
    Servers take them while they run, sentinels when they are restarted, one after another.
    """

    async def load(redis: RedisClient) -> int:
        done = 0
        while not renewed.is_set():
            await redis.set("k", done)
            done += 1
        return done

    authority = (certificates / "ca.crt").read_bytes()
    before = [shown(port, certificates) for port in PORTS]
    renewed = asyncio.Event()
    async with RedisClient(group.settings(command_timeout=2.0)) as redis:
        master = (await redis.info("server"))["run_id"]
        async with asyncio.TaskGroup() as tasks:
            writes = tasks.create_task(load(redis))
            await asyncio.to_thread(make, certificates)
            files = ("tls-cert-file", "/tls/server.crt", "tls-key-file", "/tls/server.key")
            for port in SERVER_PORTS:
                await asyncio.to_thread(group.ask, port, "CONFIG", "SET", *files)
            for sentinel in SENTINELS:
                await asyncio.to_thread(docker, "restart", sentinel)
                await asyncio.to_thread(group.wait_until_healthy)
            renewed.set()
        assert writes.result() > 0
        assert (await redis.info("server"))["run_id"] == master

    after = [shown(port, certificates) for port in PORTS]
    assert len({*before, *after}) == 2 * len(PORTS)
    assert (certificates / "ca.crt").read_bytes() == authority
