"""
Copies every key of a scratch server into the group, as it is, with its time to live.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

from redis.asyncio import Redis

from sahool_cache.cli.restore.scratch import Scratch
from sahool_cache.cli.restore.target import Targets
from sahool_cache.client import RedisClient

__all__ = ["Copied", "TooManyFailures", "batches", "copy_functions", "copy_keys", "pages"]

BATCH_BYTES = 8 << 20
"""What is held in memory at a time, unless one key has more."""
PAGE = 500
_MOST_FAILURES = 100


class TooManyFailures(Exception):
    """
    The group refuses what is copied, and not only a key here and there; the text is its word.
    """


@dataclass(slots=True, kw_only=True)
class Copied:
    """
    How far it has come: keys that were copied, and what the group said of those it refused.
    """

    keys: int = 0
    refused: list[str] = field(default_factory=list)


async def copy_functions(scratch: Scratch, target: RedisClient, *, flush: bool) -> None:
    """
    Makes the functions those of the backup, or adds them; raises redis-py's `ResponseError`.
    """
    async with scratch.connect() as source:
        payload = await source.execute_command("FUNCTION", "DUMP")
    await target.execute_command("FUNCTION", "RESTORE", payload, "FLUSH" if flush else "REPLACE")


async def copy_keys(
    scratch: Scratch, targets: Targets, on_progress: Callable[[int], object]
) -> Copied:
    """
    Copies all databases. A batch may be sent twice, after a failover for example: it leaves what
    it leaves when it is sent once. Raises what the client raises, and `TooManyFailures`.
    """
    copied = Copied()
    for number, target in targets.items():
        async with scratch.connect(number) as source:
            async for page in pages(source):
                for batch in await batches(source, page):
                    await _copy(source, target, batch, copied)
                    on_progress(copied.keys)
    return copied


async def pages(source: Redis) -> AsyncIterator[list[bytes]]:
    """
    All keys of a database, some at a time.
    """
    cursor = 0
    while True:
        cursor, keys = await source.scan(cursor, count=PAGE)
        if keys:
            yield cast("list[bytes]", keys)
        if cursor == 0:
            return


async def batches(source: Redis, keys: list[bytes]) -> list[list[bytes]]:
    """
    The keys in groups of which each can be held in memory.
    """
    # What a key takes in memory is at least what it takes on the wire, nearly always.
    pipe = source.pipeline(transaction=False)
    for key in keys:
        pipe.memory_usage(key)
    groups: list[list[bytes]] = [[]]
    room = BATCH_BYTES
    for key, size in zip(keys, await pipe.execute(), strict=True):
        if (size or 0) > room and groups[-1]:
            groups.append([])
            room = BATCH_BYTES
        groups[-1].append(key)
        room -= size or 0
    return groups


async def _copy(source: Redis, target: RedisClient, keys: list[bytes], copied: Copied) -> None:
    reading = source.pipeline(transaction=False)
    for key in keys:
        reading.dump(key)
        reading.execute_command("PEXPIRETIME", key)
    replies = await reading.execute()
    writing = target.pipeline(transaction=False)
    for key, payload, expires in zip(keys, replies[::2], replies[1::2], strict=True):
        if payload is not None and expires != -2:  # it may have expired a moment ago
            writing.execute_command("RESTORE", key, max(expires, 0), payload, "REPLACE", "ABSTTL")
    if not len(writing):
        return
    for reply in await writing.execute(raise_on_error=False):
        if isinstance(reply, Exception):
            copied.refused.append(str(reply))
        else:
            copied.keys += 1
    if len(copied.refused) > _MOST_FAILURES:
        raise TooManyFailures(copied.refused[-1])
