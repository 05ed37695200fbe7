"""
A program with ioredis uses the same entries, locks and limiters as Python does, at the same time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache import RedisClient, cache_result
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.rate_limiter import RateLimiter

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "build" / "bench" / "node"
"""Where `make` puts ioredis."""


def missing() -> str | None:
    """
    Why there is no ioredis here.
    """
    if shutil.which("node") is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "ioredis").is_dir():
        return "ioredis is not installed: `make test` does it where there is npm"
    return None


class Node:
    """
    The program, which answers one request after the other.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **what: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")
        async with asyncio.timeout(30):
            line = await self._process.stdout.readline()
        assert line, "the program has ended"
        return json.loads(line)


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[RedisClient]:
    async with (
        EmbeddedSentinel(replicas=0, sentinels=1) as group,
        RedisClient(group.settings) as redis,
    ):
        yield redis


@pytest_asyncio.fixture
async def node(redis: RedisClient) -> AsyncIterator[Node]:
    if (why := missing()) is not None:
        if os.environ.get("SAHOOL_REQUIRE_IOREDIS"):
            pytest.fail(why)
        pytest.skip(why)
    settings = redis.settings
    sentinels = [{"host": host, "port": port} for host, port in settings.sentinels]
    process = await asyncio.create_subprocess_exec(
        *("node", str(Path(__file__).with_name("ioredis.mjs")), str(FOLDER)),
        str(ROOT / "sahool_cache" / "recipes" / "lua"),
        json.dumps({"sentinels": sentinels, "name": settings.master_name}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Node(process)
    finally:
        process.kill()
        await process.wait()


@dataclass
class User:
    id: int
    name: str


async def test_it_reads_what_python_has_cached_and_python_what_it_has(
    redis: RedisClient, node: Node
) -> None:
    loads = 0

    @cache_result("user", key="{user_id}", client=redis)
    async def user(user_id: int) -> User:
        nonlocal loads
        loads += 1
        return User(user_id, "أحمد")

    @cache_result("large", client=redis, compress_from=100)
    async def large() -> list[str]:
        return ["é" * 1000]

    await user(7)
    await large()
    assert (await node.ask("read", key=user.key_for(7)))["data"] == {"id": 7, "name": "أحمد"}
    assert (await redis.get(large.key_for()) or "").startswith("z1:")
    assert (await node.ask("read", key=large.key_for()))["data"] == ["é" * 1000]
    assert await node.ask("read", key="nothing") is None
    theirs = {"id": 8, "name": "of node"}
    assert await node.ask("store", key=user.key_for(8), data=theirs, ttl=60) == 1
    assert await user(8) == User(8, "of node")
    assert loads == 1


async def test_it_takes_and_releases_a_lock_that_python_waits_for(
    redis: RedisClient, node: Node
) -> None:
    async with DistributedLock("export", client=redis) as lock:
        first = lock.fence
        theirs = asyncio.create_task(node.ask("lock", lock="export"))
        done, _ = await asyncio.wait({theirs}, timeout=0.2)
        assert not done
    held = await theirs
    assert held["released"] == 1
    assert held["fence"] > first
    assert len(held["done"]) == 32
    async with DistributedLock("export", client=redis) as lock:
        assert lock.fence > held["fence"]


async def test_both_exclude_each_other_all_the_time(redis: RedisClient, node: Node) -> None:
    await redis.set("count", 0)
    fences = []

    async def count() -> None:
        async with DistributedLock("counter", wait=20, client=redis) as lock:
            fences.append(lock.fence)
            before = int(await redis.get("count") or 0)
            await asyncio.sleep(0.001)
            await redis.set("count", before + 1)

    async def ours() -> None:
        for _ in range(25):
            await count()

    theirs, *_ = await asyncio.gather(
        node.ask("count", lock="counter", key="count", times=50), ours(), ours()
    )
    assert await redis.get("count") == "100"
    assert len({*fences, *theirs}) == 100
    assert theirs == sorted(theirs)
    assert fences == sorted(fences)


async def test_both_take_from_one_limit(redis: RedisClient, node: Node) -> None:
    limiter = RateLimiter(100, 3600, client=redis)

    async def take(times: int) -> int:
        return sum([await limiter.is_allowed("user:1") for _ in range(times)])

    async def theirs(times: int) -> int:
        taken = await node.ask("take", id="user:1", most=100, window=3_600_000_000, times=times)
        return int(taken)

    assert [await take(30), await theirs(40)] == [30, 40]
    assert sum(await asyncio.gather(take(200), theirs(200))) == 30
