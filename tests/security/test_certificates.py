"""
Certificates change on disk while a client works: new connections use the new ones.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sahool_cache import ConnectFailedError, RedisClient, RedisSettings, TLSSettings
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.events import CertificatesRefused, NodeDown
from tests.integration.load import Load
from tests.integration.observe import Recorder, eventually
from tests.security.authority import Authority, Shown, put
from tests.security.servers import redis_server

AGE = 1.0


class Guarded:
    """
    A group whose servers ask for a certificate, on ports beside those that it knows of.
    """

    def __init__(self, group: EmbeddedSentinel, place: Path) -> None:
        self.group = group
        self.servers, self.client = Shown(place / "servers"), Shown(place / "client")
        self.old, self.new = Authority(place / "old"), Authority(place / "new")
        self.ports: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.group.master, *self.group.replicas)

    async def open(self) -> None:
        self.servers.trust(self.old)
        self.servers.show(self.old.issue("server"))
        self.client.trust(self.old)
        self.client.show(self.old.issue("client"))
        for node in self.nodes:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            await self.reload(node, "tls-auth-clients", "yes", "tls-port", str(port))
            self.ports[str(node.address)] = f"127.0.0.1:{port}"

    async def reload(self, node: Node, *more: str) -> None:
        shown = self.servers
        files = ("tls-ca-cert-file", shown.ca, "tls-cert-file", shown.certificate)
        await self.group.command(
            node, "CONFIG", "SET", *map(str, files), "tls-key-file", str(shown.key), *more
        )

    async def reload_all(self) -> None:
        for node in self.nodes:
            await self.reload(node)

    @property
    def settings(self) -> RedisSettings:
        shown = self.client
        tls = TLSSettings(ca_file=shown.ca, cert_file=shown.certificate, key_file=shown.key)
        return self.group.settings.model_copy(
            update={
                "tls": tls,
                "sentinel_tls": False,
                "address_map": self.ports,
                "max_connection_age": AGE,
                "slow_threshold": None,
            }
        )


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with EmbeddedSentinel(server=redis_server(), down_after=2.0) as group:
        guarded = Guarded(group, tmp_path)
        await guarded.open()
        yield guarded


async def another_life(redis: RedisClient) -> None:
    """
    Returns when each lane has been replaced twice: the second was begun after this was called.
    """
    before = {node.address: node.dials for node in redis.stats().nodes}
    assert await eventually(
        lambda: all(node.dials >= before[node.address] + 2 for node in redis.stats().nodes), 30
    )


@pytest.mark.asyncio
async def test_all_certificates_are_rotated_beside_load_without_an_error(
    guarded: Guarded, recorder: Recorder
) -> None:
    """
    Both sides trust the new authority, then both show its certificates, then the old one goes.
    """
    old, new = guarded.old, guarded.new
    async with RedisClient(guarded.settings, observers=[recorder]) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        async with Load(redis, writers=2, readers=1) as load:
            await load.flows()
            guarded.client.trust(old, new)
            guarded.servers.trust(old, new)
            await guarded.reload_all()
            await another_life(redis)
            guarded.client.show(new.issue("client"))
            guarded.servers.show(new.issue("server"))
            await guarded.reload_all()
            await another_life(redis)
            guarded.client.trust(new)
            guarded.servers.trust(new)
            await guarded.reload_all()
            await another_life(redis)
            await load.flows()
        assert load.errors == {}, load.first_errors
        assert recorder.of(NodeDown) == recorder.of(CertificatesRefused) == []
        assert [node.fault for node in redis.stats().nodes] == [None] * 3
    guarded.client.show(old.issue("client"))  # the servers do look
    async with RedisClient(guarded.settings.model_copy(update={"command_timeout": 1.0})) as redis:
        with pytest.raises(ConnectFailedError):
            await redis.get("k")


@pytest.mark.asyncio
async def test_a_bad_file_is_told_once_and_the_old_certificate_goes_on(
    guarded: Guarded, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    async with RedisClient(guarded.settings, observers=[recorder]) as redis:
        async with Load(redis, writers=2, readers=1) as load:
            await load.flows()
            put(guarded.client.certificate, "half of a certif")
            await another_life(redis)
            (told,) = recorder.of(CertificatesRefused)
            assert (told.on, "cert_file" in told.why) == ("data", True)
            guarded.client.show(guarded.old.issue("again"))
            await another_life(redis)
            await load.flows()
        assert load.errors == {}, load.first_errors
        assert recorder.of(CertificatesRefused) == [told]
        warnings = [each for each in caplog.records if each.levelname == "WARNING"]
        assert [each.getMessage().split()[0] for each in warnings] == ["CertificatesRefused"]
