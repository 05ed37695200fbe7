"""
A request scope: one budget for all its calls, and reads that see its own writes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self

from sahool_cache.owner import Owner
from sahool_cache.policy.deadline import Deadline
from sahool_cache.view import View, positive_seconds
from sahool_cache.wiring.causality import Causality, Moment
from sahool_cache.wiring.options import CallOptions

__all__ = ["Scope"]


class Scope(View):
    """
    A view for the length of ``async with redis.scope(...) as r:``; what is derived from it
    (`r.replica`, `r.with_options(...)`, `r.pipeline()`) is part of it.

    After a write in it, its reads go to the master, or to a replica that has that write: a read
    asked of a replica brings the replica's offset along, in the same round trip. A write brings
    the master's.
    """

    def __init__(
        self,
        owner: Owner,
        options: CallOptions,
        *,
        default: CallOptions,
        timeout: float | timedelta | None,
        read_your_writes: bool,
        after: str | None,
    ) -> None:
        seen = None if after is None else Moment.parse(after)
        if seen is not None and not read_your_writes:
            raise ValueError("after asks for reads that see a write: read_your_writes is False")
        causality = Causality(seen) if read_your_writes else None
        self._seconds = None if timeout is None else positive_seconds(timeout)
        super().__init__(owner, replace(options, causality=causality), default=default)
        self._quick = False

    @property
    def token(self) -> str | None:
        """
        What this scope has written or was given, for `redis.scope(after=token)` in another
        process; None where there is nothing.
        """
        causality = self.options.causality
        return None if causality is None or causality.seen is None else str(causality.seen)

    async def __aenter__(self) -> Self:
        if self._seconds is not None:
            self.options = replace(self.options, until=Deadline(self._seconds))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None
