"""
SET without redis-py's detour: looking at the arguments costs it more than us all the rest.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from redis.commands import AsyncCoreCommands

__all__ = ["QuickSet"]

_COMMON = frozenset({"ex", "nx", "xx"})


class QuickSet(AsyncCoreCommands):
    """
    redis-py's `set`, whose commonest forms go straight to `execute_command`.
    """

    _is_async_client: Literal[True] = True

    if not TYPE_CHECKING:  # redis-py's overloads stay in sight

        @wraps(AsyncCoreCommands.set)
        def set(self, name: Any, value: Any, *rest: Any, **options: Any) -> Any:  # noqa: D102
            if not (rest or options):
                return self.execute_command("SET", name, value)
            if not rest and _COMMON.issuperset(options):
                ex, nx, xx = options.get("ex"), options.get("nx"), options.get("xx")
                if not (nx and xx) and (ex is None or ex.__class__ is int):
                    when = ("NX",) if nx else ("XX",) if xx else ()
                    lives = () if ex is None else ("EX", ex)
                    return self.execute_command("SET", name, value, *when, *lives)
            return super().set(name, value, *rest, **options)
