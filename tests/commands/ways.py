"""
The ways to call a method: on the client, its views, a connection of its own, staged in a pipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from sahool_cache import RedisClient

__all__ = ["STAGED", "WAYS", "Way", "end_of"]

Way: TypeAlias = Callable[[Any, Callable[[Any], Any]], Awaitable[Any]]


async def end_of(call: Callable[[Any], Any], client: Any) -> Any:
    """
    What the call gives or raises, and when it does: at once, or when it is awaited.
    """
    try:
        given = call(client)
    except Exception as error:  # noqa: BLE001  # errors are results here
        return "at once", error
    try:
        return "coroutine" if inspect.iscoroutine(given) else "awaitable", await given
    except Exception as error:  # noqa: BLE001
        return "awaited", error


def _view(derived: Callable[[Any], Any]) -> Way:
    async def way(client: Any, call: Callable[[Any], Any]) -> Any:
        return await end_of(call, derived(client) if hasattr(client, "with_options") else client)

    return way


@asynccontextmanager
async def _scope(client: Any) -> AsyncIterator[Any]:
    if isinstance(client, RedisClient):
        async with client.scope(timeout=10) as scope:
            yield scope
    else:
        yield client


async def _in_a_scope(client: Any, call: Callable[[Any], Any]) -> Any:
    async with _scope(client) as scope:
        return await end_of(call, scope)


async def _on_one_connection(client: Any, call: Callable[[Any], Any]) -> Any:
    async with client.client() as one:
        return await end_of(call, one)


def _staged(*, transaction: bool, raising: bool, watching: bool = False) -> Way:
    async def way(client: Any, call: Callable[[Any], Any]) -> Any:
        async with client.pipeline(transaction=transaction) as pipe:
            if watching:
                await pipe.watch("watched")
                pipe.multi()
            pipe.echo("before")
            try:
                chained = call(pipe) is pipe
            except Exception as error:  # noqa: BLE001
                return "at once", error, len(pipe)
            pipe.echo("after")
            try:
                return chained, await pipe.execute(raise_on_error=raising)
            except Exception as error:  # noqa: BLE001
                return chained, error, len(pipe)

    return way


async def _between_watch_and_multi(client: Any, call: Callable[[Any], Any]) -> Any:
    async with client.pipeline() as pipe:
        await pipe.watch("watched")
        kind, given = await end_of(call, pipe)
        return kind, given, len(pipe)


STAGED: dict[str, Way] = {
    "batch": _staged(transaction=False, raising=False),
    "transaction": _staged(transaction=True, raising=False),
    "batch that raises": _staged(transaction=False, raising=True),
    "transaction that raises": _staged(transaction=True, raising=True),
    "watched": _staged(transaction=True, raising=False, watching=True),
    "between watch and multi": _between_watch_and_multi,
}
WAYS: dict[str, Way] = {
    "plain": _view(lambda client: client),
    "master": _view(lambda client: client.master),
    "timeout": _view(lambda client: client.with_options(timeout=5)),
    "never twice": _view(lambda client: client.with_options(retry="never")),
    "durable": _view(lambda client: client.with_options(durability=1)),
    "scope": _in_a_scope,
    "one connection": _on_one_connection,
    **STAGED,
}
"""Each is for both clients: what redis-py has no views for is called plainly there."""
