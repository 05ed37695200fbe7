"""
``sahool-cache bench``: GET and SET as fast as they go.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Annotated, get_args
from uuid import uuid4

import typer
from redis.exceptions import RedisError
from rich.console import Group
from rich.progress import Progress
from rich.text import Text

from sahool_cache.cli.answer import Answer, conclude, screen, table
from sahool_cache.cli.bench.load import Call, Figures, measure
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.options import AsJson, Prefix, Url, group_settings
from sahool_cache.client import RedisClient
from sahool_cache.routing.router import ReadFrom
from sahool_cache.settings import RedisSettings

__all__ = ["bench"]

KEPT = 600
"""Seconds after which the keys expire that nobody was left to remove."""

KEYS, KEPT_BYTES = 1000, 16 * 1024 * 1024
"""How many keys there are at most, and how much they hold."""

WARM_UP = 0.5
_COLUMNS = ("", "ops", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "CPU us", "errors")


def bench(
    *,
    url: Url = None,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=30, help="How long each is measured.")
    ] = 3.0,
    callers: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=10_000, help="Callers at once.")
    ] = 50,
    size: Annotated[
        int, typer.Option(metavar="BYTES", min=1, max=1024 * 1024, help="Length of a value.")
    ] = 100,
    batch: Annotated[
        int,
        typer.Option("--pipeline", metavar="N", min=0, max=1000, help="Batches of N GETs as well."),
    ] = 0,
    read_from: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help=f"Where GETs go: {', '.join(get_args(ReadFrom))}.",
            show_default=False,
        ),
    ] = None,
    prefix: Prefix = "sahool-cache",
    as_json: AsJson = False,
) -> int:
    """
    Measures SET and GET through this client, from here, as many as go.

    It is a load on the group. The keys, at most a thousand and 16 MB, are
    removed at the end. Each caller makes its next call when the last is
    answered, so latencies are those of this concurrency. The exit status is 1
    if calls failed, 2 if none was answered.
    """
    if read_from not in {None, *get_args(ReadFrom)}:
        raise typer.BadParameter(f"--read-from is one of {', '.join(get_args(ReadFrom))}")
    chosen = {} if read_from is None else {"read_from": read_from}
    settings = group_settings(url, near_cache=False, **chosen)  # the group is to be measured

    async def run() -> Answer:
        with _progress(seconds, as_json=as_json) as begin:
            found = await _measured(
                settings, prefix, begin, seconds=seconds, callers=callers, size=size, batch=batch
            )
        return _answer(found, seconds=seconds, callers=callers, size=size, settings=settings)

    return conclude(run(), as_json=as_json)


Begin = Callable[[str], Callable[[float], None]]
"""Begins a bar with that title; what it returns is told the seconds."""


async def _measured(
    settings: RedisSettings,
    prefix: str,
    begin: Begin,
    *,
    seconds: float,
    callers: int,
    size: int,
    batch: int,
) -> dict[str, Figures]:
    own = f"{prefix}:bench:{uuid4().hex[:8]}"
    keys = [f"{own}:{number}" for number in range(min(KEYS, KEPT_BYTES // size))]
    async with RedisClient(settings) as redis:
        await redis.wait_ready()
        try:
            found = {}
            await asyncio.gather(*(redis.set(key, b"x" * size, ex=KEPT) for key in keys))
            for name, call in _calls(redis, keys, b"x" * size, batch).items():
                length = batch if name == "pipeline" else 1
                for title, time in ((f"{name}, warming up", WARM_UP), (name, seconds)):
                    found[name] = await measure(
                        call, callers=callers, seconds=time, batch=length, progress=begin(title)
                    )
            return found
        finally:
            with suppress(RedisError):
                await redis.unlink(*keys)


def _calls(redis: RedisClient, keys: list[str], value: bytes, batch: int) -> dict[str, Call]:
    def key(number: int) -> str:
        return keys[number % len(keys)]

    async def set_one(number: int) -> None:
        await redis.set(key(number), value, ex=KEPT)

    async def get_one(number: int) -> None:
        await redis.get(key(number))

    async def get_many(number: int) -> None:
        async with redis.pipeline(transaction=False) as pipe:
            for each in range(batch):
                pipe.get(key(number * batch + each))
            await pipe.execute()

    calls: dict[str, Call] = {"set": set_one, "get": get_one}
    return calls | ({"pipeline": get_many} if batch else {})


def _answer(
    found: dict[str, Figures], *, seconds: float, callers: int, size: int, settings: RedisSettings
) -> Answer:
    rows = table(*_COLUMNS)
    for column in rows.columns[1:]:
        column.justify = "right"
    for name, each in found.items():
        rows.add_row(name, f"{each.operations:,}", f"{each.per_second:,.0f}", *_words(each))
    errors = sum((Counter(each.errors) for each in found.values()), Counter[str]())
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in errors.items())
    told = f"{callers} callers, values of {size} bytes, GETs from: {settings.read_from}"
    failed = [Text(f"failed: {kinds}")] if kinds else []
    status = ExitStatus.DEGRADED if kinds else ExitStatus.OK
    if not any(each.operations for each in found.values()):
        status = ExitStatus.DOWN
    document = {
        "seconds": seconds,
        "concurrency": callers,
        "size": size,
        "read_from": settings.read_from,
        "results": {name: asdict(each) for name, each in found.items()},
    }
    return Answer(document=document, told=Group(rows, Text(told), *failed), status=status)


def _words(each: Figures) -> Iterator[str]:
    for value in (each.p50_ms, each.p99_ms, each.p999_ms, each.max_ms):
        yield "-" if value is None else f"{value:.{2 if value < 100 else 0}f}"
    yield "-" if each.cpu_us is None else f"{each.cpu_us:.0f}"
    yield f"{sum(each.errors.values()):,}"


@contextmanager
def _progress(seconds: float, *, as_json: bool) -> Iterator[Begin]:
    console = screen(errors=True)
    shown = console.is_terminal and not as_json
    with Progress(console=console, transient=True, disable=not shown) as progress:

        def begin(title: str) -> Callable[[float], None]:
            for task in progress.task_ids:
                progress.remove_task(task)
            task = progress.add_task(title, total=seconds)
            return lambda passed: progress.update(task, completed=passed)

        yield begin
