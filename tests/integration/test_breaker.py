"""
A master that refuses us while the sentinels call it healthy: wait, then fail fast, then recover.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

import pytest

from sahool_cache import Address, CircuitOpenError, RedisClient, UnavailableError
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import BreakerChanged
from tests.integration.observe import Recorder, eventually, within

DOWN_AFTER = 0.5
PATIENCE = DOWN_AFTER + 1.5
"""Seconds for which a failover may still come, so that calls wait."""


class Door:
    """
    A TCP port that leads to another address while it is open, and refuses while it is shut.
    """

    def __init__(self, target: Address) -> None:
        self.address = Address("127.0.0.1", 0)
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.shut()

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._pass, self.address.host, self.address.port or None
        )
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        writers = {writer, inner_writer}
        self._writers |= writers
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        self._writers -= writers
        self._passing.discard(task)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()
        await sink.wait_closed()


@pytest.mark.asyncio
async def test_master_that_refuses_only_us(recorder: Recorder) -> None:
    """
    Calls wait for about down-after + 1.5 s, are refused at once with `retry_after` from then on,
    and are served again soon after the way is open.
    """
    async with (
        EmbeddedSentinel(down_after=DOWN_AFTER) as group,
        Door(group.master.address) as door,
    ):
        settings = group.settings.model_copy(
            update={"address_map": {str(group.master.address): str(door.address)}}
        )
        async with RedisClient(settings, observers=[recorder]) as redis:
            assert await redis.set("k", "v")
            assert redis.topology.master == door.address
            await door.shut()
            shut_at = time.monotonic()
            with within(PATIENCE + 6), pytest.raises(CircuitOpenError):
                await redis.set("k", "waits first")
            assert time.monotonic() - shut_at > PATIENCE - 0.5
            assert redis.stats().breakers[door.address] != "closed"

            started = time.monotonic()
            refused = []
            while time.monotonic() - started < 2:
                try:
                    await redis.with_options(timeout=5).incr("n")
                except CircuitOpenError as error:
                    refused.append((error.node, 0 <= error.retry_after < 10))
                except UnavailableError:  # it was the one that probed
                    pass
                await asyncio.sleep(0.005)
            assert len(refused) > 20
            assert set(refused) == {(str(door.address), True)}
            assert (await redis.health_check())["checks"]["circuit_breaker"] != "closed"

            await door.open()
            assert await eventually(lambda: redis.stats().breakers[door.address] == "closed")
            with within(5):
                assert await redis.get("k") == "v"
            assert await redis.incr("n") == 1
        states = [event.state for event in recorder.of(BreakerChanged)]
        assert states[0] == "open"
        assert states[-1] == "closed"


@pytest.mark.asyncio
async def test_calls_are_served_when_the_way_opens_within_patience(recorder: Recorder) -> None:
    """
    A short refusal, in which a failover might still have come, costs no error and no breaker.
    """
    async with (
        EmbeddedSentinel(down_after=2.0) as group,
        Door(group.master.address) as door,
    ):
        settings = group.settings.model_copy(
            update={"address_map": {str(group.master.address): str(door.address)}}
        )
        async with RedisClient(settings, observers=[recorder]) as redis:
            assert await redis.set("k", "v")
            await door.shut()
            calls = [asyncio.ensure_future(redis.incr(f"n:{n}")) for n in range(200)]
            await asyncio.sleep(1)
            assert not any(call.done() for call in calls)
            await door.open()
            with within(5):
                assert await asyncio.gather(*calls) == [1] * 200
        assert recorder.of(BreakerChanged) == []


@pytest.mark.asyncio
async def test_one_dead_replica_shuts_no_other_door(group: EmbeddedSentinel) -> None:
    """
    A replica that refuses for long is behind a breaker of its own: master and the other serve.
    """
    async with RedisClient(group.settings) as redis:
        await redis.set("k", "v")
        await redis.wait(2, 2000)
        dead = group.replicas[0]
        await group.kill(dead)
        assert await eventually(lambda: redis.stats().breakers.get(dead.address) != "closed", 15)
        assert redis.stats().breakers[group.master.address] == "closed"
        assert await redis.set("k", "w")
        for _ in range(50):
            assert await redis.with_options(read_from="replica").get("k") in {"v", "w"}
