"""
What `cache_result` makes of a function, and of a method.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from sahool_cache.recipes.caching.arguments import Arguments
from sahool_cache.recipes.caching.canonical import Unkeyable, canonical, shortened
from sahool_cache.recipes.caching.tags import distinct
from sahool_cache.recipes.result_cache import CacheInfo, ResultCache

__all__ = ["CachedFunction", "CachedMethod"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

_UNBOUND: Any = object()


class CachedFunction(Generic[P, R]):
    """
    Is called like the function, and gives what that gave when it was last called.
    """

    __wrapped__: Callable[P, Awaitable[R]]

    def __init__(
        self,
        function: Callable[P, Awaitable[R]],
        cache: ResultCache[R],
        *,
        prefix: str,
        template: str | None,
        ignore: Collection[str],
        tags: Iterable[str] | Callable[..., Iterable[str]],
        binds: type[classmethod[Any, ..., Any] | staticmethod[..., Any]] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._cache = cache
        self._binds = binds
        self._is_method = binds is classmethod or (binds is None and _is_method(function))
        self._read = functools.partial(Arguments, function, template=template, ignore=ignore)
        self._of_methods = {self._is_method: self._read(of_method=self._is_method)}
        self._tags = tags if callable(tags) else distinct(tags)
        if not callable(self._tags):
            self._of_methods[self._is_method].check(self._tags)
        self._of_class = next(iter(inspect.signature(function).parameters), "") == "cls"
        name = f"{function.__module__}.{function.__qualname__}"
        self._owner = name.rpartition(".")[0]
        self._head = f"{prefix}:{name}"

    def __repr__(self) -> str:
        return f"<cached {self._function.__qualname__}>"

    def __reduce__(self) -> str:
        return self._function.__qualname__  # as a function: by its name

    def __set_name__(self, owner: type, name: str) -> None:
        place = self._function.__qualname__.rpartition(".")[0]
        # A class may name a function that is not its own.
        if place == owner.__qualname__ and self._binds is not staticmethod:
            self._is_method = True

    @overload
    def __get__(self, instance: None, owner: type) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, Q], R], instance: object, owner: type
    ) -> CachedMethod[Q, R]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if self._binds is classmethod:
            instance = owner
        if instance is None or self._binds is staticmethod:
            return self
        return CachedMethod(self, instance)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        The result, out of the cache or out of the function. See `ResultCache.get_or_load`.
        """
        instance, rest = self._parted(args)
        return await self.call(instance, rest, kwargs)

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """
        The key in Redis of that call's result; no I/O. Raises `TypeError` for arguments that cannot
        be part of a key.
        """
        instance, rest = self._parted(args)
        return self.key(instance, rest, kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """
        Removes that call's result; whether there was one. See `ResultCache.invalidate`.
        """
        instance, rest = self._parted(args)
        return await self.remove(instance, rest, kwargs)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Calls the function now, and keeps what it gives. See `ResultCache.refresh`.
        """
        instance, rest = self._parted(args)
        return await self.reload(instance, rest, kwargs)

    def cache_info(self) -> CacheInfo:
        """
        What it has done in this process; no I/O.
        """
        return self._cache.cache_info()

    def _parted(self, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """
        The instance, if it is a method, and the arguments.
        """
        if not self._is_method:
            return _UNBOUND, args
        if not args:
            raise TypeError(
                f"{self._function.__qualname__} is a method: give it its instance first"
            )
        if self._binds is None and self._of_class and not isinstance(args[0], type):
            raise TypeError(  # from Python 3.13 on, that binds the call and nothing else
                f"{self._function.__qualname__}: write @cache_result above @classmethod, or give "
                "it its class first"
            )
        return args[0], args[1:]

    def key(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """
        The key of a call on that instance.
        """
        text = self._arguments(instance).text(args, kwargs)
        if instance is _UNBOUND:
            return f"{self._head}:{text}"
        return f"{self._head}{self._instance(instance)}:{text}"

    async def call(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """
        The result of a call on that instance.
        """
        load = self._call_of(instance, args, kwargs)
        key = self.key(instance, args, kwargs)
        if not self._tags:
            return await self._cache.get_or_load(key, load)
        return await self._cache.get_or_load(key, load, tags=self._tagged(instance, args, kwargs))

    async def remove(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """
        Removes the result of a call on that instance.
        """
        return await self._cache.invalidate(self.key(instance, args, kwargs))

    async def reload(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """
        The new result of a call on that instance.
        """
        return await self._cache.refresh(
            self.key(instance, args, kwargs),
            self._call_of(instance, args, kwargs),
            tags=self._tagged(instance, args, kwargs),
        )

    def _call_of(
        self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], Awaitable[R]]:
        function: Callable[..., Awaitable[R]] = self._function
        if instance is _UNBOUND:
            return functools.partial(function, *args, **kwargs)
        return functools.partial(function, instance, *args, **kwargs)

    def _arguments(self, instance: Any) -> Arguments:
        of_method = instance is not _UNBOUND
        if of_method not in self._of_methods:
            self._of_methods[of_method] = self._read(of_method=of_method)
        return self._of_methods[of_method]

    def _tagged(
        self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, ...]:
        if callable(self._tags):
            return distinct(self._tags(*args, **kwargs))
        if not self._tags:
            return ()
        named = self._arguments(instance).named(args, kwargs)
        return tuple(tag.format_map(named) for tag in self._tags)

    def _instance(self, instance: Any) -> str:
        """
        What tells this instance's results from others': its `__cache_key__`; its class, if that is
        another than the function was written for.
        """
        kind = instance if isinstance(instance, type) else type(instance)
        if kind is not instance and hasattr(kind, "__cache_key__"):
            try:
                return f"@{shortened(canonical(instance))}"
            except Unkeyable as error:
                raise TypeError(
                    f"{self._function.__qualname__}: the instance cannot be part of a key, as "
                    f"nothing tells what identifies {error} in its __cache_key__"
                ) from error
        name = f"{kind.__module__}.{kind.__qualname__}"
        return "" if name == self._owner or instance is None else f"@{name}"


class CachedMethod(Generic[Q, R]):
    """
    A `CachedFunction` of an instance.
    """

    __slots__ = ("_function", "_instance")

    def __init__(self, function: CachedFunction[Any, R], instance: object) -> None:
        self._function = function
        self._instance = instance

    def __repr__(self) -> str:
        return f"{self._function!r} of {self._instance!r}"

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(functools.partial(self._function.__wrapped__, self._instance))

    async def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> R:
        """
        As `CachedFunction.__call__`.
        """
        return await self._function.call(self._instance, args, kwargs)

    def key_for(self, *args: Q.args, **kwargs: Q.kwargs) -> str:
        """
        As `CachedFunction.key_for`.
        """
        return self._function.key(self._instance, args, kwargs)

    async def invalidate(self, *args: Q.args, **kwargs: Q.kwargs) -> bool:
        """
        As `CachedFunction.invalidate`.
        """
        return await self._function.remove(self._instance, args, kwargs)

    async def refresh(self, *args: Q.args, **kwargs: Q.kwargs) -> R:
        """
        As `CachedFunction.refresh`.
        """
        return await self._function.reload(self._instance, args, kwargs)

    def cache_info(self) -> CacheInfo:
        """
        As `CachedFunction.cache_info`.
        """
        return self._function.cache_info()


def _is_method(function: Callable[..., Any]) -> bool:
    """
    Whether it was written in a class, and takes an instance or a class. In a class it is told by
    ``__set_name__``, but not below ``@classmethod``.
    """
    place = function.__qualname__.rpartition(".")[0]
    if not place or place.endswith("<locals>"):
        return False
    return next(iter(inspect.signature(function).parameters), "") in ("self", "cls")
