"""
Whether the group holds what the backup holds, once it was copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sahool_cache.cli.restore.copying import batches, pages
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
                comparison = _Comparison(source, target, aside, compared)
                async for page in pages(source):
                    there = await comparison.look_up(page)
                    chosen = [key for key in there if random.random() < share]
                    for batch in await batches(source, chosen):
                        await comparison.compare_values(batch)
    return compared


class _Comparison:
    """
    One database: ours, the group's, and an empty one of ours to try values in.
    """

    def __init__(
        self, source: Redis, target: RedisClient, aside: Redis, compared: Compared
    ) -> None:
        self._source = source
        self._target = target
        self._aside = aside
        self._compared = compared

    async def look_up(self, page: list[bytes]) -> list[bytes]:
        """
        Those of the keys that are there, and expire when they should.
        """
        expected = await _each(self._source, "PEXPIRETIME", page)
        found = await _each(self._target, "PEXPIRETIME", page)
        soon = await self._soon()
        there = []
        for key, wanted, expires in zip(page, expected, found, strict=True):
            if wanted == -2 or 0 <= wanted < soon:  # it has expired meanwhile, here or there
                continue
            self._compared.keys += 1
            if expires == -2:
                await self._miss(key)
            elif expires != wanted:
                self._compared.other_expiry += 1
            else:
                there.append(key)
        return there

    async def compare_values(self, keys: list[bytes]) -> None:
        """
        Compares what these keys hold.
        """
        expected = await _each(self._source, "DUMP", keys)
        found = await _each(self._target, "DUMP", keys)
        for key, wanted, payload in zip(keys, expected, found, strict=True):
            if payload is None:
                await self._miss(key)
            elif payload == wanted:
                self._compared.values += 1
            else:
                await self._compare_digests(key, payload)

    async def _compare_digests(self, key: bytes, payload: bytes) -> None:
        # Equal values may be written differently, a set in another order. The digest of a value
        # has no order, and our own server lets us ask for it.
        (expires,) = await _each(self._source, "PEXPIRETIME", [key])
        restore = ("RESTORE", _COPY, max(expires, 0), payload, "REPLACE", "ABSTTL")
        try:
            await self._aside.execute_command(*restore)
        except ResponseError:  # the group's version is newer
            self._compared.not_comparable += 1
            return
        self._compared.values += 1
        if await _digest(self._aside, _COPY) == await _digest(self._source, key):
            return
        soon = await self._soon()
        ours = await _lasting(self._source, key, soon)
        if ours is None or ours != await _lasting(self._aside, _COPY, soon):
            self._compared.other_value += 1

    async def _miss(self, key: bytes) -> None:
        if await _lasting(self._source, key, await self._soon()) != {}:
            self._compared.missing += 1

    async def _soon(self) -> int:
        seconds, microseconds = await self._target.time()
        return int(seconds) * 1000 + int(microseconds) // 1000 + _CLOCKS


async def _each(server: Any, command: str, keys: list[bytes]) -> list[Any]:
    pipe = server.pipeline(transaction=False)
    for key in keys:
        pipe.execute_command(command, key)
    return list(await pipe.execute())


async def _digest(server: Redis, key: bytes) -> bytes:
    reply: Any = await server.execute_command("DEBUG", "DIGEST-VALUE", key)
    return bytes(reply[0])


async def _lasting(server: Redis, key: bytes, soon: int) -> dict[bytes, tuple[bytes, int]] | None:
    """
    The fields of a hash that do not expire before `soon`; None if it is another value, or if the
    server knows no fields that expire. Each server drops those when it comes to it.
    """
    if await server.type(key) not in (b"hash", b"none"):
        return None
    fields: Any = await server.hgetall(key)
    if not fields:
        return {}
    try:
        times: Any = await server.execute_command(
            "HPEXPIRETIME", key, "FIELDS", len(fields), *fields
        )
    except ResponseError:
        return None
    return {
        field: (value, expires)
        for (field, value), expires in zip(fields.items(), times, strict=True)
        if expires == -1 or expires >= soon
    }
