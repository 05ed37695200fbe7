"""
A service as users have it: one client, some traffic, and its metrics for Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from prometheus_client import REGISTRY, start_http_server

from sahool_cache import RedisClient, RedisSettings, SahoolCacheError
from sahool_cache.integrations.prometheus import ClientCollector


async def serve(sentinels: list[str], password: str, address: str) -> None:
    """
    Reads and writes until it is killed, whatever becomes of the group.
    """
    settings = RedisSettings.isolated(
        sentinels=sentinels, master_name="sahool-master", password=password, near_cache=True
    )
    async with RedisClient(settings) as redis:
        REGISTRY.register(ClientCollector(redis))
        host, _, port = address.partition(":")
        start_http_server(int(port), host)
        n = 0
        while True:
            n += 1
            with contextlib.suppress(SahoolCacheError):
                await redis.set(f"key:{n % 100}", n, ex=60)
                await redis.get(f"key:{n % 100}")
                await redis.hget("absent", "field")
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1]), *sys.argv[2:]))
