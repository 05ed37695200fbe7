"""
A default user who is turned off, as docs/rights.md writes it, costs no data at the next start.
"""

from __future__ import annotations

from collections.abc import Iterator
from signal import SIGKILL

import pytest
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from sahool_cache import Address
from sahool_cache.embedded.guard import Guard
from sahool_cache.embedded.node import Node
from tests.house import ROOT
from tests.security.roles import LINES, password_of
from tests.security.servers import redis_server

LINE = "user default off resetpass ~* &* +@all"


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[Node]:
    """
    A server of which nobody knows the default user, and that keeps all that was written.
    """
    users = (LINE, f"user application {LINES['application']}")
    lines = (f"port {unused_tcp_port}", "bind 127.0.0.1", "save ''", "appendonly yes", *users)
    guard = Guard()
    where = Address("127.0.0.1", unused_tcp_port)
    program = (redis_server(),)
    text = "\n".join((*lines, "appendfsync always", ""))
    node = Node("master", where, text=text, program=program, guard=guard, password=None)
    node.start()
    yield node
    guard.close()


def application(server: Node) -> Redis:
    return Redis(
        port=server.port,
        username="application",
        password=password_of("application"),
        retry=Retry(ConstantBackoff(0.02), 500),
        retry_on_error=[exceptions.ConnectionError, exceptions.BusyLoadingError],
    )


@pytest.mark.asyncio
async def test_transactions_come_back_from_the_append_only_file(server: Node) -> None:
    assert f"`{LINE}`" in (ROOT / "docs/rights.md").read_text()
    async with application(server) as redis, redis.pipeline(transaction=True) as pipe:
        assert await pipe.set("a", 1).set("b", 2).execute() == [True, True]
    server.send_signal(SIGKILL)
    await server.ended()
    server.start()
    async with application(server) as redis:
        assert await redis.mget("a", "b") == [b"1", b"2"]
