"""
A process that asks as often and as quickly as it can, for what it is told on its command line.

Prints how many requests were allowed to it for each limiter, as a list.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from sahool_cache import RedisClient, RedisSettings
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.rate_limiter import RateLimiter


async def main(job: dict[str, Any]) -> None:
    settings = RedisSettings.isolated(sentinels=job["sentinels"], master_name=job["master_name"])
    async with RedisClient(settings) as redis:
        await redis.incr("ready")
        while int(await redis.get("ready")) < job["processes"]:
            await asyncio.sleep(0.005)
        counts = []
        for algorithm, limits, cost in job["limiters"]:
            limiter = RateLimiter(
                algorithm=algorithm, limits=[Limit(*limit) for limit in limits], client=redis
            )
            name = f"all:{cost}"
            results = await asyncio.gather(
                *(limiter.acquire(name, cost) for _ in range(job["calls"]))
            )
            counts.append(sum(result.allowed for result in results))
        print(json.dumps(counts))  # noqa: T201


asyncio.run(main(json.loads(sys.argv[1])))
