"""
Passwords and certificates towards the sentinels change while a client works over TLS.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from sahool_cache import MasterUnknownError, RedisClient, RedisSettings, TLSSettings
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.events import (
    CertificatesRefused,
    CredentialsRefused,
    CredentialsRenewed,
    NodeDown,
    SentinelDown,
)
from tests.integration.load import Load
from tests.integration.observe import Recorder, eventually
from tests.security.authority import Authority, Shown, put
from tests.security.roles import connections, grant
from tests.security.servers import redis_server

OLD, NEW = "Ulmus-glabra-13", "Salix-alba-14"
AGE = 0.6


class GuardedSentinels:
    """
    Sentinels that ask for a certificate and a password, on ports beside those they announce.
    """

    def __init__(self, group: EmbeddedSentinel, place: Path, ports: list[int]) -> None:
        self.group = group
        self.shown, self.client = Shown(place / "sentinels"), Shown(place / "client")
        self.old, self.new = Authority(place / "old"), Authority(place / "new")
        self.password = place / "password"
        self.addresses = {
            str(node.address): f"127.0.0.1:{port}"
            for node, port in zip(group.sentinels, ports, strict=True)
        }

    async def open(self) -> None:
        for side, name in ((self.shown, "sentinel"), (self.client, "client")):
            side.trust(self.old)
            side.show(self.old.issue(name))
        put(self.password, OLD)
        await grant(self.group, self.group.sentinels, "client", "resetpass", f">{OLD}")
        for node in self.group.sentinels:
            await self.group.command(node, "SENTINEL", "FLUSHCONFIG")
            await self.group.kill(node)
            self._guard(node)
            await self.group.restart(node)
        await self.group.wait_in_sync()

    def _guard(self, node: Node) -> None:
        """
        No command can do it: a sentinel reads its TLS files when it starts.
        """
        port = self.addresses[str(node.address)].split(":")[1]
        with (node.log.parent / "node.conf").open("a") as config:
            config.write(f"tls-port {port}\ntls-auth-clients yes\n")
            config.write(f"tls-ca-cert-file {self.shown.ca}\n")
            config.write(f"tls-cert-file {self.shown.certificate}\n")
            config.write(f"tls-key-file {self.shown.key}\n")

    async def tell_all(self, *rules: str) -> None:
        for node in self.group.sentinels:
            await self.group.command(node, "ACL", "SETUSER", "client", *rules)
            await self.group.command(node, "SENTINEL", "FLUSHCONFIG")

    async def connections(self) -> set[tuple[int, str]]:
        """
        Those of the client, in the words of every sentinel.
        """
        found = await connections(self.group, self.group.sentinels)
        return {(port, facts["id"]) for port, facts in found}

    async def another_life(self) -> None:
        """
        Returns when every sentinel has a connection of the client, and none that it has now.
        """
        before = await self.connections()
        ports = {node.port for node in self.group.sentinels}
        async with asyncio.timeout(20):
            while (now := await self.connections()) & before or {at for at, _ in now} != ports:
                await asyncio.sleep(0.02)

    async def read_again(self) -> None:
        """
        Restarts one sentinel after the other, each when the client is back at the one before.
        """
        for node in self.group.sentinels:
            await self.group.kill(node)
            await self.group.restart(node)
            async with asyncio.timeout(20):
                while node.port not in {at for at, _ in await self.connections()}:
                    await asyncio.sleep(0.02)

    @property
    def settings(self) -> RedisSettings:
        shown = self.client
        return self.group.settings.model_copy(
            update={
                "sentinels": tuple(self.addresses.values()),
                "address_map": self.addresses,
                "sentinel_tls": TLSSettings(
                    ca_file=shown.ca, cert_file=shown.certificate, key_file=shown.key
                ),
                "sentinel_username": "client",
                "sentinel_password_file": self.password,
                "client_name": "app",
                "max_connection_age": AGE,
                "slow_threshold": None,
            }
        )


@pytest_asyncio.fixture
async def guarded(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[GuardedSentinels]:
    async with EmbeddedSentinel(server=redis_server(), down_after=2.0) as group:
        ports = [unused_tcp_port_factory() for _ in group.sentinels]
        guarded = GuardedSentinels(group, tmp_path, ports)
        await guarded.open()
        yield guarded


@pytest.mark.asyncio
async def test_password_and_certificates_towards_sentinels_are_rotated_without_an_error(
    guarded: GuardedSentinels, recorder: Recorder
) -> None:
    """
    The password first: no connection is lost. Then the certificates, for which sentinels have to be
    restarted. A failover is followed at the end.
    """
    group, old, new = guarded.group, guarded.old, guarded.new
    async with RedisClient(guarded.settings, observers=[recorder]) as redis:
        await redis.wait_ready()
        async with Load(redis, writers=2, readers=1) as load:
            await guarded.another_life()
            await guarded.tell_all(f">{NEW}")
            put(guarded.password, NEW)
            assert await eventually(lambda: recorder.of(CredentialsRenewed) != [])
            await guarded.tell_all(f"<{OLD}")
            await guarded.another_life()
            assert recorder.of(SentinelDown) == []
            for side in (guarded.client, guarded.shown):
                side.trust(old, new)
            await guarded.read_again()
            guarded.client.show(new.issue("client"))
            guarded.shown.show(new.issue("sentinel"))
            await guarded.read_again()
            await guarded.another_life()
            for side in (guarded.client, guarded.shown):
                side.trust(new)
            await guarded.read_again()
            await guarded.another_life()
            assert recorder.of(NodeDown) == []
            await group.wait_in_sync()
            master = await group.wait_for_failover(await group.failover())
            assert await eventually(lambda: redis.topology.master == master.address)
            await load.flows()
        assert load.errors == {}, load.first_errors
        assert recorder.of(CertificatesRefused) == recorder.of(CredentialsRefused) == []
        assert {event.on for event in recorder.of(CredentialsRenewed)} == {"sentinel"}
    guarded.client.show(old.issue("client"))  # the sentinels do look
    async with RedisClient(guarded.settings.model_copy(update={"command_timeout": 1.0})) as redis:
        with pytest.raises(MasterUnknownError):
            await redis.get("k")
