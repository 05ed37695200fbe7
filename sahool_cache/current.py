"""
The client of this process and event loop, from the environment, for code without injection.
"""

from __future__ import annotations

import asyncio
import os

from sahool_cache.client import RedisClient

__all__ = ["close_redis_client", "get_redis_client"]

_clients: dict[asyncio.AbstractEventLoop, RedisClient] = {}
_unbound: RedisClient | None = None
_pid = os.getpid()


def get_redis_client() -> RedisClient:
    """
    The one client of this process and event loop, made from the environment at the first call.

    Outside of a running loop (in a module's body) it is the client that the first loop to use
    it will have. Raises `ValueError` that names what the environment lacks.
    """
    global _unbound, _pid  # noqa: PLW0603
    if _pid != os.getpid():  # forked: what the parent opened is not ours
        _clients.clear()
        _unbound, _pid = None, os.getpid()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if _unbound is None or _unbound.chain is not None:
            _unbound = RedisClient.from_env()
        return _unbound
    client = _clients.get(loop)
    if client is None:
        for ended in [each for each in _clients if each.is_closed()]:
            del _clients[ended]
        ours = _unbound is not None and (_unbound.chain is None or _unbound.chain.here())
        client, _unbound = (_unbound, None) if ours else (None, _unbound)
        client = _clients[loop] = client or RedisClient.from_env()
    return client


async def close_redis_client() -> None:
    """
    Closes this event loop's client; the next `get_redis_client()` makes a new one.
    """
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()
