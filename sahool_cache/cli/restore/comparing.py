"""
Whether the group holds what the backup holds, once it was copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sahool_cache.cli.restore.copying import pages
from sahool_cache.cli.restore.scratch import DATABASES, Scratch
from sahool_cache.cli.restore.target import Targets
from sahool_cache.client import RedisClient

__all__ = ["Compared", "compare"]

_SAMPLE = 1000
_CLOCKS = 2000  # milliseconds that two machines' clocks may differ
_COPY = b"copy"


@dataclass(slots=True, kw_only=True)
class Compared:
    """
    Keys that were looked up, with their times to live, and those whose values were compared;
    what was not as in the backup. Values that the group writes in a newer format than the scratch
    server reads are `not_comparable`.
    """

    keys: int = 0
    values: int = 0
    missing: int = 0
    other_expiry: int = 0
    other_value: int = 0
    not_comparable: int = 0

    @property
    def well(self) -> bool:
        """
        Whether nothing differs.
        """
        return not (self.missing or self.other_expiry or self.other_value)


async def compare(
    scratch: Scratch, targets: Targets, *, keys: int, every_value: bool, random: Random
) -> Compared:
    """
    Looks every key up, and compares the values of about a thousand, or of all.
    """
    compared = Compared()
    share = 1.0 if every_value else _SAMPLE / max(keys, 1)
    async with scratch.connect(DATABASES - 1) as aside:
        for number, target in targets.items():
            async with scratch.connect(number) as source:
                async for page in pages(source):
                    there = await _look_up(source, target, page, compared)
                    for key, expires in there:
                        if random.random() < share:
                            await _compare_value((source, target, aside), key, expires, compared)
    return compared


async def _look_up(
    source: Redis, target: RedisClient, page: list[bytes], compared: Compared
) -> list[tuple[bytes, int]]:
    expected = await _expiries(source, page)
    found = await _expiries(target, page)
    seconds, microseconds = await target.time()
    soon = seconds * 1000 + microseconds // 1000 + _CLOCKS
    there = []
    for key, wanted, expires in zip(page, expected, found, strict=True):
        if wanted == -2 or 0 <= wanted < soon:  # it has expired meanwhile, here or there
            continue
        compared.keys += 1
        if expires == -2:
            compared.missing += 1
        elif expires != wanted:
            compared.other_expiry += 1
        else:
            there.append((key, wanted))
    return there


async def _expiries(server: Any, keys: list[bytes]) -> list[int]:
    pipe = server.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command("PEXPIRETIME", key)
    return list(await pipe.execute())


async def _compare_value(
    servers: tuple[Redis, RedisClient, Redis], key: bytes, expires: int, compared: Compared
) -> None:
    source, target, aside = servers
    wanted, found = await source.dump(key), await target.dump(key)
    if found is None:
        compared.missing += 1
        return
    if wanted == found:
        compared.values += 1
        return
    # Equal values may be written differently, a set in another order. The digest of a value has no
    # order, and our own server lets us ask for it.
    try:
        await aside.execute_command("RESTORE", _COPY, max(expires, 0), found, "REPLACE", "ABSTTL")
    except ResponseError:  # the group's version is newer
        compared.not_comparable += 1
        return
    compared.values += 1
    if await _digest(aside, _COPY) != await _digest(source, key):
        compared.other_value += 1


async def _digest(server: Redis, key: bytes) -> bytes:
    (digest,) = await server.execute_command("DEBUG", "DIGEST-VALUE", key)
    return bytes(digest)
