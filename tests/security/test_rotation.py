"""
Passwords and users change while a client works, by the documented order: no call fails, and no
connection is made anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import CredentialsRefused, CredentialsRenewed, NodeDown, SentinelDown
from tests.integration.load import Load
from tests.integration.observe import Recorder, eventually
from tests.security.roles import connections, grant, servers

OLD, NEW = "Quercus-robur-7", "Fagus-sylvatica-8"


class Vault:
    """
    Where the passwords are, as files that are replaced like those of a mounted secret.
    """

    def __init__(self, directory: Path) -> None:
        self.data, self.sentinel = directory / "password", directory / "sentinel_password"
        self.put(OLD)

    def put(self, password: str) -> None:
        for file in (self.data, self.sentinel):
            fresh = file.with_suffix(".new")
            fresh.write_text(f"{password}\n")
            fresh.rename(file)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


@pytest_asyncio.fixture
async def group() -> AsyncIterator[EmbeddedSentinel]:
    """
    A group with the users `application` and `client`, each with the old password.
    """
    async with EmbeddedSentinel(
        down_after=0.5,
        failover_timeout=3.0,
        sentinel_debug={"info-period": 1000, "publish-period": 500},
    ) as group:
        await everywhere(group, "resetpass", f">{OLD}", fresh=True)
        yield group


async def everywhere(group: EmbeddedSentinel, *rules: str, fresh: bool = False) -> None:
    for nodes, user in ((servers(group), "application"), (group.sentinels, "client")):
        for node in nodes:
            if fresh:
                await grant(group, (node,), user, *rules)
            else:
                await group.command(node, "ACL", "SETUSER", user, *rules)


async def users(group: EmbeddedSentinel) -> dict[str, int]:
    """
    How many connections each user has to the servers and sentinels, of those named by the client.
    """
    found = await connections(group, (*servers(group), *group.sentinels))
    return Counter(facts["user"] for _, facts in found)


def client(
    group: EmbeddedSentinel, vault: Vault, recorder: Recorder, **update: object
) -> RedisClient:
    settings = group.settings.model_copy(
        update={
            "username": "application",
            "password_file": vault.data,
            "sentinel_username": "client",
            "sentinel_password_file": vault.sentinel,
            "client_name": "app",
            "near_cache": True,
            "lanes": 2,
            **update,
        }
    )
    return RedisClient(settings, observers=[recorder])


@pytest.mark.asyncio
async def test_a_password_that_is_rotated_in_order_costs_no_error_and_no_connection(
    group: EmbeddedSentinel, vault: Vault, recorder: Recorder
) -> None:
    """
    Add the new one, let the clients take it, remove the old one: beside load, and with a failover
    before the last step and after it.
    """
    async with client(group, vault, recorder) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        async with Load(redis, writers=4, readers=2) as load:
            await load.flows()
            dials = [node.dials for node in redis.stats().nodes]
            await everywhere(group, f">{NEW}")
            vault.put(NEW)
            assert await eventually(lambda: len(recorder.of(CredentialsRenewed)) == 2)
            await load.flows()
            assert [node.dials for node in redis.stats().nodes] == dials
            assert recorder.of(NodeDown) == recorder.of(SentinelDown) == []
            await fail_over(group, redis)
            await load.flows()
            await everywhere(group, f"<{OLD}")
            await load.flows()
            await fail_over(group, redis)
            await load.flows()
        report = await load.report(group)
    assert (report.errors, report.lost, report.duplicates) == ({}, 0, 0), report.first_errors
    assert recorder.of(CredentialsRefused) == []
    assert {event.on for event in recorder.of(CredentialsRenewed)} == {"data", "sentinel"}


async def fail_over(group: EmbeddedSentinel, redis: RedisClient) -> None:
    old = await group.failover()
    new = await group.wait_for_failover(old)
    assert await eventually(lambda: redis.topology.master == new.address)
    await group.wait_in_sync()  # the old master has to be a replica before the next one


@pytest.mark.asyncio
async def test_a_user_who_is_replaced_by_another_may_be_deleted(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    """
    A server ends all connections of a user who is deleted: by then there are none but those that
    wait without end and listen, and begin again.
    """
    names = {"data": "application", "sentinel": "client"}
    settings = group.settings.model_copy(update={"client_name": "app", "near_cache": True})
    async with RedisClient(
        settings,
        credential_provider=lambda: (names["data"], OLD),
        sentinel_credential_provider=lambda: (names["sentinel"], OLD),
        observers=[recorder],
    ) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        await redis.blpop("nothing", timeout=0.01)  # so that the pool has a connection
        waiting = asyncio.create_task(redis.blpop("list", timeout=0))
        pubsub = redis.pubsub()
        await pubsub.subscribe("c")
        assert (await anext(pubsub.listen()))["type"] == "subscribe"
        async with Load(redis, writers=4, readers=2) as load:
            await load.flows()
            for nodes, user in ((servers(group), "application"), (group.sentinels, "client")):
                for node in nodes:
                    rules = [word for word in (await acl_of(group, node, user)) if word != user]
                    await group.command(node, "ACL", "SETUSER", f"{user}2", "reset", *rules)
            names.update(data="application2", sentinel="client2")
            assert await redis.reauthenticate()
            await redis.blpop("nothing", timeout=0.01)
            now = await users(group)
            assert now.keys() == {"application", "application2", "client2"}
            assert now["application"] == 2, "those that wait and listen"
            for nodes, user in ((servers(group), "application"), (group.sentinels, "client")):
                for node in nodes:
                    await group.command(node, "ACL", "DELUSER", user)
            await load.flows()
            await redis.rpush("list", "a")
            assert await waiting == ("list", "a")
            assert (await anext(pubsub.listen()))["type"] == "subscribe"
            await redis.publish("c", "m")
            assert (await anext(pubsub.listen()))["type"] == "message"
            await pubsub.aclose()
        assert load.errors == {}, load.first_errors
        assert recorder.of(NodeDown) == recorder.of(SentinelDown) == []


async def acl_of(group: EmbeddedSentinel, node: object, user: str) -> list[str]:
    lines = await group.command(node, "ACL", "LIST")  # type: ignore[arg-type]
    assert isinstance(lines, list)
    return next(str(line).split()[2:] for line in lines if str(line).startswith(f"user {user} "))


@pytest.mark.asyncio
async def test_a_password_that_comes_too_early_is_refused_once_and_tried_again(
    group: EmbeddedSentinel,
    vault: Vault,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    The wrong order: the clients' file changes before the servers know the new password. Live
    connections stay as they are, one warning says so, and the new one is taken once it is known.
    """
    async with client(group, vault, recorder, slow_threshold=None) as redis:
        async with Load(redis, writers=2, readers=1) as load:
            await load.flows()
            vault.put(NEW)
            assert await eventually(lambda: len(recorder.of(CredentialsRefused)) == 2)
            assert await redis.reauthenticate() is False
            await load.flows()
            await everywhere(group, f">{NEW}")
            assert await eventually(lambda: len(recorder.of(CredentialsRenewed)) == 2, 20)
            await load.flows()
        assert load.errors == {}, load.first_errors
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 2
    assert all("CredentialsRefused" in line and "password_file" in line for line in told)
    assert not [each for each in caplog.messages if NEW in each or OLD in each]
