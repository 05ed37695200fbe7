"""
A mixed load that holds nothing by itself: the same keys, channels and lists again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from sahool_cache import RedisClient

__all__ = ["Load"]

KEYS = 500


class Load:
    """
    Workers that run within ``async with`` from `resume()` on, until they are made to rest.

    `took` are the seconds of simple commands, `took_new` those of the same ones that a `new`
    client made; `errors` counts what calls raised by name. What is no redis-py error is no part
    of any promise, and ends the load.
    """

    def __init__(self, redis: RedisClient, *, pace: float = 0.002) -> None:
        self.new: RedisClient | None = None
        self.took: list[float] = []
        self.took_new: list[float] = []
        self.errors: Counter[str] = Counter()
        self.rounds: Counter[str] = Counter()
        self._redis = redis
        self._pace = pace
        self._random = Random(1)
        self._go = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        rounds = {
            **{f"command {n}": self.command for n in range(4)},
            **{f"pipeline {n}": self.pipeline for n in range(2)},
            "read": self.read,
            "blocking": self.blocking,
            "pubsub": self.pubsub,
            "cancel": self.cancel,
        }
        self._tasks = [
            asyncio.create_task(self._work(name.split()[0], act), name=f"soak {name}")
            for name, act in rounds.items()
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        failed = [end for end in ends if isinstance(end, Exception)]
        if failed and error is None:
            raise failed[0]

    async def rest(self) -> None:
        """
        Returns when no worker is in a round; they wait until `resume()`.
        """
        self._go.clear()
        async with asyncio.timeout(30):
            while self._busy:
                self._idle.clear()
                await self._idle.wait()
        for task in self._tasks:
            if task.done():
                task.result()

    def resume(self) -> None:
        """
        Lets the workers begin, or go on.
        """
        self._go.set()

    async def _work(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._go.wait()
            self._busy += 1
            try:
                await act()
                self.rounds[name] += 1
            except RedisError as error:
                self.errors[f"{name} {type(error).__name__}"] += 1
            finally:
                self._busy -= 1
                self._idle.set()
            await asyncio.sleep(self._pace)

    def _key(self) -> str:
        return f"soak:{self._random.randrange(KEYS)}"

    async def command(self) -> None:
        both = [(self._redis, self.took)]
        if self.new is not None:
            both.append((self.new, self.took_new))
        self._random.shuffle(both)
        key, value = self._key(), "x" * self._random.randrange(200)
        for act in (
            lambda redis: redis.set(key, value),
            lambda redis: redis.get(key),
            lambda redis: redis.incr("soak:count"),
        ):
            for redis, took in both:
                begun = time.perf_counter()
                await act(redis)
                took.append(time.perf_counter() - begun)

    async def read(self) -> None:
        await self._redis.replica.get(self._key())

    async def pipeline(self) -> None:
        for transaction in (True, False):
            pipe = self._redis.pipeline(transaction=transaction)
            for _ in range(20):
                pipe.set(self._key(), "y")
                pipe.get(self._key())
            await pipe.execute()

    async def blocking(self) -> None:
        waiting = asyncio.ensure_future(self._redis.blpop(["soak:list"], 0.5))
        await asyncio.sleep(self._pace)
        try:
            await self._redis.rpush("soak:list", "element")
        finally:
            await waiting

    async def pubsub(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as heard:
            await heard.subscribe("soak:channel")
            await heard.get_message(timeout=0.05)
            await self._redis.publish("soak:channel", "message")
            await heard.get_message(timeout=0.05)

    async def cancel(self) -> None:
        """
        Calls of every kind, whose callers go away at any moment.
        """
        calls: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._redis.get(self._key())) for _ in range(10)
        ]
        calls.append(asyncio.ensure_future(self._redis.blpop(["soak:nothing"], 5)))
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(self._key())
        calls.append(asyncio.ensure_future(pipe.execute()))
        await asyncio.sleep(self._random.random() * 2 * self._pace)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
