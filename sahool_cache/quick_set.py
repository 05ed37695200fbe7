"""
SET without redis-py's detour: looking at the arguments costs it more than us all the rest.
"""

from __future__ import annotations

from functools import wraps
from inspect import unwrap
from typing import TYPE_CHECKING, Any, Literal

from redis.commands import AsyncCoreCommands
from redis.utils import warn_experimental_arg_usage

__all__ = ["QuickSet"]

_COMMON = frozenset({"ex", "nx", "xx"})
_EXPERIMENTAL = ("ifeq", "ifne", "ifdeq", "ifdne")
_redis_py: Any = AsyncCoreCommands  # typed for its whole clients only
_redis_py_set = unwrap(_redis_py.set)  # its wrapper's warning would point to this file


class QuickSet(AsyncCoreCommands):
    """
    redis-py's `set`, whose commonest forms go straight to `execute_command`.
    """

    _is_async_client: Literal[True] = True
    _depth = 3
    """How many calls deep the warnings below are from whom they are for."""

    if not TYPE_CHECKING:  # redis-py's overloads stay in sight

        @wraps(AsyncCoreCommands.set)
        def set(self, name: Any, value: Any, *rest: Any, **options: Any) -> Any:  # noqa: D102
            if not rest:
                if not options:
                    return self.execute_command("SET", name, value)
                ex, nx, xx = options.get("ex"), options.get("nx"), options.get("xx")
                if (
                    _COMMON.issuperset(options)
                    and not (nx and xx)
                    and (ex is None or ex.__class__ is int)
                ):
                    when = ("NX",) if nx else ("XX",) if xx else ()
                    lives = () if ex is None else ("EX", ex)
                    return self.execute_command("SET", name, value, *when, *lives)
            for place, condition in enumerate(_EXPERIMENTAL, start=8):
                if condition in options or len(rest) > place:
                    warn_experimental_arg_usage(condition, "set", stacklevel=self._depth)
            return _redis_py_set(self, name, value, *rest, **options)
