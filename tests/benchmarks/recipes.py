"""
The recipes that are compared: a cached function, a limiter, a lock, each written as its users do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, Protocol

from sahool_cache.recipes.cache_result import cache_result
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.rate_limiter import RateLimiter
from tests.benchmarks.clients import Ours, RedisPy, installed
from tests.benchmarks.model import BASELINE, OURS, Target

__all__ = ["PROFILES", "RECIPES", "Profile", "Recipes", "make_recipes", "profile"]

PROFILES = 1000
"""How many different arguments the cached function is called with."""

_CONNECTIONS, _TASKS = 50, 100
"""How many connections peers have; as many as tasks, where a pool raises when all are in use."""

_TTL, _WINDOW, _LEASE = 3600, 60, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    What the cached function gives; as JSON about 100 bytes.
    """

    number: int
    name: str
    mail: str
    since: str


def profile(number: int) -> Profile:
    """
    The profile with that number.
    """
    name = f"Reader {number:04}"
    mail = f"reader.{number:04}@mail.example.com"
    return Profile(number=number, name=name, mail=mail, since="2026-11-25")


def _missed(number: int) -> Profile:
    raise AssertionError(f"{number} was not in the cache")


Load = Callable[[int], Profile]
Cached = Callable[[int], Awaitable[Any]]
Taken = Callable[[str], Awaitable[Any]]


class Recipes(Protocol):
    """
    What the works call. Nothing of ours stands round it, wherever the library has it.
    """

    async def open(self) -> None: ...

    def cached(self, load: Load) -> Cached:
        """
        A function that gives what `load` gave when its result was not there.
        """
        ...

    def hits(self) -> Cached:
        """
        The same where all results are there: a miss is an error.
        """
        ...

    def limiter(self, most: int) -> Taken:
        """
        Whether that id may go on, `most` times in a minute.
        """
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]: ...
    async def aclose(self) -> None: ...


class _Caching:
    def cached(self, load: Load) -> Any:
        raise NotImplementedError

    def hits(self) -> Cached:
        function: Cached = self.cached(_missed)
        return function


class OurRecipes(_Caching, Ours):
    """
    Ours. Of its options, `algorithm` and `fair` are those of the recipes; with `get_alone` a hit is
    only the GET that it cannot be without.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        settings = dict(options)
        self._algorithm = settings.pop("algorithm", "gcra")
        self._fair = settings.pop("fair", False)
        self._get_alone = settings.pop("get_alone", False)
        super().__init__(target, settings)

    def cached(self, load: Load) -> Any:
        @cache_result("user:profile", ttl=_TTL, client=self.redis)
        async def get_profile(number: int) -> Profile:
            return load(number)

        return get_profile

    def hits(self) -> Cached:
        if not self._get_alone:
            return super().hits()
        key_for, get = self.cached(_missed).key_for, self.redis.get
        keys = [key_for(number) for number in range(PROFILES)]
        return lambda number: get(keys[number])

    def limiter(self, most: int) -> Taken:
        limiter = RateLimiter(most, _WINDOW, algorithm=self._algorithm, client=self.redis)
        return limiter.acquire

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        # All who use a name must agree on it, also cells that are played at once.
        prefix = "fair-lock" if self._fair else "lock"
        return DistributedLock(
            name, timeout=_LEASE, fair=self._fair, prefix=prefix, client=self.redis
        )


class RedisPyRecipes(_Caching, RedisPy):
    """
    What people write with redis-py, and its own lock.
    """

    def cached(self, load: Load) -> Cached:
        redis = self.redis

        async def get_profile(*args: int, **kwargs: int) -> Any:
            key = f"user:profile:{args}:{kwargs}"
            stored = await redis.get(key)
            if stored:
                return json.loads(stored)
            result = asdict(load(*args, **kwargs))
            await redis.set(key, json.dumps(result), ex=_TTL)
            return result

        return get_profile

    def limiter(self, most: int) -> Taken:
        redis, numbers = self.redis, count()

        async def is_allowed(identifier: str) -> bool:
            key, now = f"rate_limit:{identifier}", time.time()
            async with redis.pipeline() as pipe:
                pipe.zremrangebyscore(key, 0, now - _WINDOW)
                # By the second alone, as it is often written, a second counts as one request.
                pipe.zadd(key, {f"{now}:{next(numbers)}": now})
                pipe.zcard(key)
                pipe.expire(key, _WINDOW)
                results = await pipe.execute()
            return bool(results[2] <= most)

        return is_allowed

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        lock: AbstractAsyncContextManager[Any] = self.redis.lock(name, timeout=_LEASE)
        return lock


class Cashews(_Caching):
    """
    cashews with its defaults, but for more connections, and that it raises what goes wrong. Its
    limiter is the quicker of its two, which counts in fixed windows.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        del options
        self._target = target

    async def open(self) -> None:
        self._cache: Any = installed("cashews").Cache()
        url = "redis://{}:{}".format(*self._target.master)
        self._cache.setup(url, max_connections=_CONNECTIONS, suppress=False)
        await self._cache.init()

    def cached(self, load: Load) -> Any:
        @self._cache(ttl=_TTL, key="user:profile:{number}")
        async def get_profile(number: int) -> Profile:
            return load(number)

        return get_profile

    def limiter(self, most: int) -> Any:
        @self._cache.rate_limit(
            limit=most, period=_WINDOW, key="cashews:{identifier}", action=lambda identifier: False
        )
        async def is_allowed(identifier: str) -> bool:
            return True

        return is_allowed

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        lock: AbstractAsyncContextManager[Any] = self._cache.lock(name, expire=_LEASE)
        return lock

    async def aclose(self) -> None:
        await self._cache.close()


class AioCache(_Caching):
    """
    aiocache with its defaults, but for more connections. Its lock lets all who wait pass at once
    when it is released, so it is none to compare with.
    """

    def __init__(self, target: Target, options: Mapping[str, Any]) -> None:
        del options
        self._target = target

    async def open(self) -> None:
        self._aiocache: Any = installed("aiocache")
        host, port = self._target.master
        self._aiocache.caches.set_config(
            {
                "default": {
                    "cache": "aiocache.RedisCache",
                    "endpoint": host,
                    "port": port,
                    "pool_max_size": _TASKS,
                    "serializer": {"class": "aiocache.serializers.JsonSerializer"},
                }
            }
        )

    def cached(self, load: Load) -> Any:
        @self._aiocache.cached(ttl=_TTL, alias="default")
        async def get_profile(number: int) -> Any:
            return asdict(load(number))

        return get_profile

    def limiter(self, most: int) -> Taken:
        raise NotImplementedError

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._aiocache.caches.get("default").close()


RECIPES: dict[str, Callable[[Target, Mapping[str, Any]], Recipes]] = {
    OURS: OurRecipes,
    BASELINE: RedisPyRecipes,
    "cashews": Cashews,
    "aiocache": AioCache,
}
"""By name, as `clients.CLIENTS`."""


def make_recipes(name: str, target: Target, options: Mapping[str, Any]) -> Recipes:
    """
    The recipes of that client, as `clients.make_client`.
    """
    return RECIPES[name.partition(",")[0]](target, options)
