"""
One container of the image that the compose group is made of.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from sahool_cache import RedisClient, RedisSettings
from sahool_cache.errors import MasterUnknownError
from tests.docker import IMAGE

pytestmark = pytest.mark.container

PASSWORD = "one-server"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """
    Where a server of the image is reached on 127.0.0.1.
    """
    ready = LogMessageWaitStrategy("Ready to accept connections").with_startup_timeout(30)
    with Network() as network:  # the default bridge is not there under every daemon
        server = DockerContainer(
            IMAGE, command=f"redis-server --requirepass {PASSWORD}", network=network
        ).waiting_for(ready)
        server.ports["6379/tcp"] = ("127.0.0.1", None)  # type: ignore[assignment]  # Docker takes it
        with server:
            yield server.get_exposed_port(6379)


@pytest.mark.asyncio
async def test_the_image_serves_redis(port: int) -> None:
    async with Redis(port=port, password=PASSWORD, decode_responses=True) as plain:
        assert await plain.set("k", "v", ex=60)
        assert await plain.get("k") == "v"
        assert (await plain.info("replication"))["role"] == "master"


@pytest.mark.asyncio
async def test_a_plain_server_in_place_of_a_sentinel_is_named_as_such(port: int) -> None:
    settings = RedisSettings.isolated(
        sentinels=[("127.0.0.1", port)],
        master_name="sahool-master",
        sentinel_password=PASSWORD,
        command_timeout=2.0,
    )
    async with RedisClient(settings) as redis:
        with pytest.raises(MasterUnknownError) as raised:
            await redis.get("k")
    assert "is a server of role master, not a sentinel" in raised.value.causes[f"127.0.0.1:{port}"]
    assert f"127.0.0.1:{port}" in str(raised.value)
    assert PASSWORD not in str(raised.value)
