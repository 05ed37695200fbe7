"""
SET without redis-py's detour: looking at the arguments costs it more than us all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from redis.commands import AsyncCoreCommands

__all__ = ["QuickSet"]


class QuickSet(AsyncCoreCommands):
    """
    redis-py's `set`, whose commonest forms go straight to `execute_command`.
    """

    _is_async_client: Literal[True] = True

    if not TYPE_CHECKING:  # redis-py's overloads stay in sight

        def set(  # noqa: PLR0913, PLR0917  # redis-py's signature
            self,
            name: Any,
            value: Any,
            ex: Any = None,
            px: Any = None,
            nx: bool = False,
            xx: bool = False,
            keepttl: bool = False,
            get: bool = False,
            exat: Any = None,
            pxat: Any = None,
            ifeq: Any = None,
            ifne: Any = None,
            ifdeq: Any = None,
            ifdne: Any = None,
        ) -> Any:
            """
            Sets the value at key `name`: True, or None where a condition did not hold; with `get`
            the old value. `ex` seconds or `px` milliseconds to live. One round trip.
            """
            rare = (
                keepttl or get or not (px is exat is pxat is ifeq is ifne is ifdeq is ifdne is None)
            )
            if not rare and not (nx and xx):
                when = ("NX",) if nx else ("XX",) if xx else ()
                if ex is None:
                    return self.execute_command("SET", name, value, *when)
                if ex.__class__ is int:
                    return self.execute_command("SET", name, value, *when, "EX", ex)
            conditions = {"ifeq": ifeq, "ifne": ifne, "ifdeq": ifdeq, "ifdne": ifdne}
            given = {key: value for key, value in conditions.items() if value is not None}
            return super().set(name, value, ex, px, nx, xx, keepttl, get, exat, pxat, **given)
