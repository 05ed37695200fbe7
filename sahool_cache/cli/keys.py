"""
``sahool-cache keys``: some of the keys, without a burden on the master.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sahool_cache.cli.answer import Answer, conclude
from sahool_cache.cli.escapes import as_data, escaped, printable
from sahool_cache.cli.options import AsJson, Database, Url, data_settings
from sahool_cache.cli.units import size, span
from sahool_cache.client import RedisClient
from sahool_cache.view import View

__all__ = ["keys"]

_AT_ONCE = 200


def keys(  # noqa: PLR0913  # an option each
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="A glob, such as user:*:name")
    ] = "*",
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Keys at most.")] = 100,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Time that the search may take.")
    ] = 10.0,
    count: Annotated[
        int, typer.Option(min=1, max=100_000, help="Keys that the server looks at in one step.")
    ] = 500,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only string, hash, list, ...")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Type, time to live, memory and encoding, too.")
    ] = False,
    db: Database = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    r"""
    Lists keys, and says if it stopped before it had seen all.

    SCAN in small steps on a replica, on the master only where none is fit. A
    name that does not print, or is not UTF-8, is shown with escapes (\x1b).
    """
    settings = data_settings(url, db)

    async def look() -> Answer:
        async with RedisClient(settings) as redis:
            view = redis.replica
            found, stopped = await _scan(
                view, pattern, limit=limit, seconds=seconds, count=count, kind=kind
            )
            facts = await _facts(view, found) if long else None
        return Answer(
            document=_document(found, facts, stopped),
            told=_told(found, facts),
            aside=_aside(found, stopped),
        )

    return conclude(look(), as_json=as_json)


async def _scan(
    view: View, pattern: str, *, limit: int, seconds: float, count: int, kind: str | None
) -> tuple[list[bytes], str | None]:
    """
    The keys, and what ended the search before the server had shown all.
    """
    found: dict[bytes, None] = {}  # a scan may show a key twice
    scan: Any = view.scan_iter(match=os.fsencode(pattern), count=count, _type=kind)
    bound = asyncio.timeout(seconds)
    try:
        async with bound, aclosing(scan):
            async for key in scan:
                found[key] = None
                if len(found) > limit:
                    return list(found)[:limit], "limit"
    except TimeoutError:
        if not bound.expired():
            raise
        return list(found), "seconds"
    return list(found), None


async def _facts(view: View, found: Sequence[bytes]) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = []
    for start in range(0, len(found), _AT_ONCE):
        pipe = view.pipeline(transaction=False)
        some = found[start : start + _AT_ONCE]
        for key in some:
            pipe.type(key)
            pipe.pttl(key)
            pipe.memory_usage(key)
            pipe.object("ENCODING", key)
        replies = iter(await pipe.execute(raise_on_error=False))
        facts += [_fact(*four) for four in zip(*[replies] * 4, strict=True)]
    return facts


def _fact(kind: Any, left: Any, octets: Any, encoding: Any) -> dict[str, Any]:
    return {
        "type": kind.decode() if isinstance(kind, bytes) else None,
        "ttl": left / 1000 if isinstance(left, int) and left >= 0 else None,
        "bytes": octets if isinstance(octets, int) else None,
        "encoding": encoding.decode() if isinstance(encoding, bytes) else None,
    }


def _document(
    found: list[bytes], facts: list[dict[str, Any]] | None, stopped: str | None
) -> dict[str, Any]:
    rows = [{"key": as_data(key)} for key in found]
    if facts is not None:
        rows = [row | more for row, more in zip(rows, facts, strict=True)]
    return {"keys": rows, "complete": stopped is None, "stopped_by": stopped}


def _told(found: list[bytes], facts: list[dict[str, Any]] | None) -> RenderableType:
    names = [Text(escaped(key)) for key in found]
    if facts is None or not names:
        return Group(*names)
    lines = [Text(_line("type", "ttl", "memory", "encoding"), style="bold").append("key")]
    for name, fact in zip(names, facts, strict=True):
        left = "-" if fact["ttl"] is None else span(fact["ttl"])
        octets = "-" if fact["bytes"] is None else size(fact["bytes"])
        told = _line(fact["type"] or "-", left, octets, fact["encoding"] or "-")
        lines.append(Text(printable(told)).append(name))
    return Group(*lines)


def _line(kind: str, left: str, octets: str, encoding: str) -> str:
    return f"{kind:<7} {left:>4} {octets:>6}  {encoding:<10} "


def _aside(found: list[bytes], stopped: str | None) -> str | None:
    if stopped is not None:
        return f"stopped by --{stopped} after {len(found)} keys; there may be more"
    return None if found else "no key matches"
