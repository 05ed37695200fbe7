"""
Many clients in one process of its own, each writing now and then: `python -m tests.chaos.crowd`.

It reads its order, one line of JSON, from its standard input, says ``ready`` when every client has
written, and on the next line tells how each of them fared.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from random import Random
from typing import Any

from sahool_cache import RedisClient, RedisSettings, SahoolCacheError

__all__ = ["Member"]

PACE = 0.25


class Member:
    """
    One client, and the one key that it writes.
    """

    def __init__(self, key: str, settings: RedisSettings) -> None:
        self.key = key
        self.value = 0
        self.acknowledged = 0
        self.times: list[float] = []
        self.errors = 0
        self._redis = RedisClient(settings)

    async def write(self, stop: asyncio.Event) -> None:
        """
        Writes one number after the other until it is told to stop.
        """
        async with self._redis:
            await asyncio.sleep(Random(self.key).uniform(0, PACE))
            while not stop.is_set():
                self.value += 1
                try:
                    await self._redis.set(self.key, self.value)
                except SahoolCacheError:
                    self.errors += 1
                else:
                    self.acknowledged = self.value
                    self.times.append(time.monotonic())
                await asyncio.sleep(PACE)

    def told(self) -> dict[str, Any]:
        """
        How it fared; `times`, of its acknowledgements, are of the monotonic clock, which all
        processes share.
        """
        return {
            "key": self.key,
            "value": self.value,
            "acknowledged": self.acknowledged,
            "times": self.times,
            "errors": self.errors,
        }


async def _main() -> None:
    order = json.loads(await _line())
    settings = RedisSettings.isolated(**order["settings"])
    members = [Member(f"{order['name']}:{n}", settings) for n in range(order["clients"])]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(each.write(stop), name=each.key) for each in members]
    while not all(each.acknowledged for each in members):
        await asyncio.sleep(0.02)
    _say("ready")
    await _line()
    stop.set()
    await asyncio.wait(tasks, timeout=5)
    _say(json.dumps([each.told() for each in members]))
    for task in tasks:
        task.cancel()


async def _line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the other end reads it


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(_main())
