"""
How long a near cache answers with a value that another client has overwritten.
"""

from __future__ import annotations

import asyncio
import time
from array import array

import redis.asyncio

from tests.benchmarks.clients import Client
from tests.benchmarks.load import result
from tests.benchmarks.model import Cell, Result, Target
from tests.benchmarks.works import HOT

__all__ = ["WRITES", "measure_invalidation"]

WRITES = 500
_WITHIN = 5.0


async def measure_invalidation(client: Client, cell: Cell, target: Target) -> Result:
    """
    From the return of each SET of a redis-py client until our `get` answers with its value.

    Ours has read the key twice before each write, so it has it; then it asks over and over, and
    lets the event loop have its turn in between. Raises `TimeoutError` if it never learns.
    """
    took: array[float] = array("d")
    began, cpu = time.perf_counter(), time.process_time()
    host, port = target.master
    writes = cell.commands or WRITES
    async with redis.asyncio.Redis(host=host, port=port) as writer:
        await writer.set(HOT, b"0")
        for number in range(1, writes + 1):
            await client.get(HOT)
            await client.get(HOT)
            value = str(number).encode()
            await writer.set(HOT, value)
            written = time.perf_counter()
            async with asyncio.timeout(_WITHIN):
                while await client.get(HOT) != value:
                    await asyncio.sleep(0)
            took.append(time.perf_counter() - written)
    return result(
        cell,
        commands=writes,
        seconds=time.perf_counter() - began,
        cpu=time.process_time() - cpu,
        took=took,
    )
