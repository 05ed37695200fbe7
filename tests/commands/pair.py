"""
Our client and redis-py's on one master, and what a call does through each.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.view import View
from tests.commands.rows import hashes, keys, lists, raw, server, streams, strings
from tests.commands.rows.row import SEED, Row, described, loose, shape

__all__ = [
    "COMPARE",
    "KINDS",
    "ROWS",
    "AnyClient",
    "Pair",
    "called",
    "lent",
    "open_pair",
    "outcome",
]

AnyClient: TypeAlias = Any
"""Ours or redis-py's. Its annotations do not know that staged commands chain."""

KINDS: dict[str, list[Row]] = {
    "strings": strings.ROWS,
    "keys": keys.ROWS,
    "hashes": hashes.ROWS,
    "lists": lists.ROWS,
    "streams": streams.ROWS,
    "server": server.ROWS,
    "raw": raw.ROWS,
}
ROWS = [row for rows in KINDS.values() for row in rows]
COMPARE: dict[str, Callable[[Any], Any]] = {"exact": described, "shape": shape, "loose": loose}


def _in_lua(value: Any) -> str:
    raw = value if isinstance(value, bytes) else str(value).encode()
    return '"' + "".join(f"\\{byte:03d}" for byte in raw) + '"'


# One command instead of thirty: what a test costs is mostly what it finds.
_SEEDING = "\n".join(
    f"redis.call({', '.join(map(_in_lua, command))})" for command in (("FLUSHALL",), *SEED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    The two clients of one master, and a third connection that prepares and looks.
    """

    ours: View
    theirs: Redis
    direct: Redis

    async def effect(
        self, client: Any, row: Row, call: Callable[[Any, Row], Any] | None = None
    ) -> tuple[Any, Any]:
        """
        What the call gives or raises, and the digest of the data after it.
        """
        call = call or called
        await self.direct.execute_command("EVAL", _SEEDING, 0)
        for command in row.given:
            await self.direct.execute_command(*command)
        result = await outcome(call, client, row)
        digest = await self.direct.execute_command("DEBUG", "DIGEST")
        return result, digest


def called(client: Any, row: Row) -> Any:
    """
    What the row's method gives, not awaited.
    """
    return getattr(client, row.method)(*row.args, **row.options)


async def outcome(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """
    What the call gives, awaited or listed, or the exception that it raises.
    """
    try:
        value = call(*args, **options)
        if inspect.isasyncgen(value):
            return [item async for item in value]
        return await value if inspect.isawaitable(value) else value
    except Exception as error:  # noqa: BLE001  # errors are results here
        return error


@asynccontextmanager
async def open_pair(
    group: EmbeddedSentinel, *, set_up: bool = True, asked: bool = True
) -> AsyncIterator[Pair]:
    """
    Both clients, whose replies are decoded as `asked`; ours is `set_up` for that, or a view is.
    """
    host, port = group.master.address
    settings = group.settings.model_copy(update={"decode_responses": set_up})
    once = Retry(NoBackoff(), 0)  # or redis-py sends AUTH ten times
    async with (
        RedisClient(settings) as ours,
        Redis(host=host, port=port, decode_responses=asked, retry=once) as theirs,
        Redis(host=host, port=port) as direct,
    ):
        view = ours if asked is set_up else ours.with_options(decode_responses=asked)
        yield Pair(ours=view, theirs=theirs, direct=direct)


def lent(redis: RedisClient) -> int:
    """
    Exclusive connections that are in use now.
    """
    return sum(node.exclusive for node in redis.stats().nodes)
