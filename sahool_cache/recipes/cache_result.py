"""
`cache_result`: the decorator that keeps a function's results in Redis.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, ParamSpec, TypeVar, Unpack, get_type_hints

from sahool_cache.recipes.cached_function import CachedFunction
from sahool_cache.recipes.caching.codec import Later
from sahool_cache.recipes.caching.rules import CacheOptions, Ttl
from sahool_cache.recipes.result_cache import ResultCache
from sahool_cache.recipes.shared import GivenClient

__all__ = ["cache_result"]

P = ParamSpec("P")
R = TypeVar("R")


def cache_result(
    key_prefix: str,
    ttl: Ttl = 3600,
    *,
    client: GivenClient = None,
    key: str | None = None,
    ignore: Collection[str] = (),
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    **options: Unpack[CacheOptions],
) -> Callable[[Callable[P, Awaitable[R]]], CachedFunction[P, R]]:
    """
    Keeps the results of an ``async def`` function or method in Redis, for `ttl` seconds. It stands
    above ``@classmethod``: below, from Python 3.13 on, only the call itself has its class.

    The key is made of the prefix, the function's name and its arguments: however they are given,
    and so that no two calls share an entry. `ignore` names parameters that the result does not
    depend on. ``key="{user_id}"`` makes it readable. `self` is no part of it, unless its class has
    a `__cache_key__`, an attribute or a method.

    `tags`, texts such as ``"user:{user_id}"``, or a function of the arguments that gives them, are
    what `invalidate_tags` takes. `ttl` may be a function of the result. For the rest see
    `CacheOptions`. A hit costs one round trip.

    Results are stored as JSON and given as the type that the function is annotated with, to its
    first caller as well; without an annotation as JSON has them. One that has no form there is
    given as it is, with a WARNING, and not stored.

    Raises `TypeError` for what is no ``async def`` function, `ValueError` for options that do not
    fit.
    """
    if callable(key_prefix) or not key_prefix:
        raise TypeError('cache_result needs a prefix: @cache_result("user:profile", ttl=60)')
    if isinstance(tags, str) or isinstance(ignore, str):
        raise TypeError("tags and ignore take several texts: put it in a tuple")
    names = sys._getframe(1).f_locals  # noqa: SLF001  # an annotation may speak of a local class

    def decorate(given: Callable[P, Awaitable[R]]) -> CachedFunction[P, R]:
        binds = type(given) if isinstance(given, classmethod | staticmethod) else None
        inner: Any = getattr(given, "__func__", given) if binds else given
        function: Callable[P, Awaitable[R]] = inner
        named = hasattr(function, "__qualname__")  # a partial has no name to be filed under
        if not (named and inspect.iscoroutinefunction(function)):
            raise TypeError(f"cache_result is for async def functions, and {function!r} is none")
        cache: ResultCache[R] = ResultCache(
            _returned_by(function, names), ttl, client=client, **options
        )
        return CachedFunction(
            function,
            cache,
            prefix=key_prefix,
            template=key,
            ignore=ignore,
            tags=tags,
            binds=binds,
        )

    return decorate


def _returned_by(function: Callable[..., Any], names: dict[str, Any]) -> Any:
    """
    The type that it is annotated to give, `Later` if that speaks of what is not there yet.
    """

    def only_the_result() -> None: ...

    written = function.__annotations__.get("return", Any)
    only_the_result.__annotations__ = {"return": written}
    known = getattr(inspect.unwrap(function), "__globals__", {})
    scope = {**known, **names}

    def find() -> Any:
        try:
            return get_type_hints(only_the_result, scope, include_extras=True)["return"]
        except (NameError, AttributeError) as error:
            raise TypeError(
                f"{function.__qualname__} is annotated to return {written!r}, and {error}: "
                "import it where the function can see it at run time, not under TYPE_CHECKING only"
            ) from error

    try:
        return find()
    except TypeError:
        scope = known
        return Later(find)
