"""
``sahool-cache get`` and ``set``: a quick look at one key, and a quick change.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from sahool_cache.cli.answer import Answer, ask, conclude
from sahool_cache.cli.escapes import as_data, escaped, unescaped
from sahool_cache.cli.options import AsJson, Database, Url, Yes, data_settings
from sahool_cache.cli.values.reading import read_key
from sahool_cache.client import RedisClient
from sahool_cache.settings import RedisSettings

__all__ = ["get_value", "set_value"]

Key = Annotated[str, typer.Argument(help="The name of the key.")]
Escaped = Annotated[
    bool,
    typer.Option("--escaped", "-e", help=r"What is given has escapes, as in the output: \x1b."),
]


def get_value(
    key: Key,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Elements at most.")] = 100,
    replica: Annotated[
        bool, typer.Option("--replica", help="Ask a replica; the master only if none is fit.")
    ] = False,
    has_escapes: Escaped = False,
    db: Database = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    r"""
    Shows what a key holds, of any type; (nil) if there is none.

    What does not print, or is not UTF-8, is shown with escapes (\x1b). Type
    and time to live are told on stderr.
    """
    settings, name = data_settings(url, db), _octets(key, has_escapes=has_escapes)

    async def look() -> Answer:
        async with RedisClient(settings) as redis:
            held = await read_key(redis.replica if replica else redis.master, name, limit)
        document = {
            "key": as_data(name),
            "type": held.kind,
            "ttl": held.ttl,
            "length": held.length,
            "value": held.value,
            "complete": held.whole,
        }
        told = Group(*map(Text, held.lines))
        return Answer(document=document, told=told, aside=held.summary)

    return conclude(look(), as_json=as_json)


def set_value(  # noqa: PLR0913  # an option each
    key: Key,
    value: Annotated[str, typer.Argument(help="The value; - is standard input, to its end.")],
    *,
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0.001, max=1e10, help="Time to live.", show_default=False
        ),
    ] = None,
    only_new: Annotated[bool, typer.Option("--nx", help="Only if there is no such key.")] = False,
    only_old: Annotated[bool, typer.Option("--xx", help="Only if there is such a key.")] = False,
    has_escapes: Escaped = False,
    yes: Yes = False,
    db: Database = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """
    Sets a key to a string; asks before it overwrites one that exists.

    Prints OK, or (nil) where --nx or --xx kept it from setting the key.
    """
    if only_new and only_old:
        raise typer.BadParameter("--nx and --xx exclude one another")
    settings, name = data_settings(url, db), _octets(key, has_escapes=has_escapes)
    stdin = value == "-"
    content = sys.stdin.buffer.read() if stdin else _octets(value, has_escapes=has_escapes)
    options: dict[str, Any] = {} if ttl is None else {"px": max(1, round(ttl * 1000))}

    async def change() -> Answer:
        if only_old or (yes and not only_new):
            done = None
        else:
            done = await _set(settings, name, content, nx=True, **options)
        if not done and not only_new:
            done = await _overwrite(settings, name, content, options, yes=yes, only_old=only_old)
        document = {"key": as_data(name), "set": bool(done)}
        return Answer(document=document, told=Text("OK" if done else "(nil)"))

    return conclude(change(), as_json=as_json)


async def _set(settings: RedisSettings, key: bytes, value: bytes, **options: Any) -> Any:
    async with RedisClient(settings) as redis:
        return await redis.set(key, value, **options)


async def _overwrite(
    settings: RedisSettings,
    key: bytes,
    value: bytes,
    options: dict[str, Any],
    *,
    yes: bool,
    only_old: bool,
) -> Any:
    if not yes:
        async with RedisClient(settings) as redis:
            kind: Any = await redis.master.type(key)
        if kind == b"none":
            if only_old:
                return None
        else:  # no client is open meanwhile: a question stops the event loop
            ask(f"{escaped(key)} holds a {escaped(kind)}. Overwrite it?", yes=False)
    return await _set(settings, key, value, xx=only_old, **options)


def _octets(text: str, *, has_escapes: bool) -> bytes:
    if not has_escapes:
        return os.fsencode(text)
    try:
        return unescaped(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
