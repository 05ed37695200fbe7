"""
`redis.client()`: every command method on one connection of its own.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from redis.client import EMPTY_RESPONSE
from redis.exceptions import ResponseError

from sahool_cache.caller import Caller
from sahool_cache.commands import lookup
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost
from sahool_cache.connection.request import Single
from sahool_cache.errors import NeedsOwnConnectionError, OutcomeUnknownError, UnavailableError

__all__ = ["PinnedClient"]

_STREAMING = frozenset(
    {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"}
    | {"MONITOR", "SYNC", "PSYNC", "REPLCONF", "QUIT", "CLIENT REPLY"}
)
"""These answer with other than one reply, also on a connection of one's own."""


class PinnedClient(Caller):
    """
    For commands that change their connection's state: SELECT, CLIENT SETNAME, raw MULTI.

    One connection to the master for the length of the ``async with`` block. It does not follow
    a failover, and nothing is repeated: the state would be gone.
    """

    _borrowed: Borrowed | None = None
    _changed = False

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def initialize(self) -> Self:
        """
        Takes the connection; the first command does it as well. Raises `UnavailableError`.
        """
        if self._borrowed is None:
            chain = await self.ready()
            deadline = self.options.deadline()
            while self._borrowed is None:
                try:
                    self._borrowed = await chain.servers.borrow(False, "master", deadline)  # noqa: FBT003
                except (DialFailed, ConnectionError) as fault:
                    if deadline.passed:
                        raise UnavailableError(f"no connection to the master: {fault}") from fault
                    await asyncio.sleep(min(0.01, deadline.left))
        return self

    async def aclose(self) -> None:
        """
        Hands the connection back, or ends it where its state was changed.
        """
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            if self._changed:
                borrowed.cut("its state was changed")
            else:
                borrowed.give_back()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """
        The reply to any command that gives one reply.
        """
        request = Single(args, flipped=self.flips(options))
        spec, canonical = lookup(args)
        if spec.name in _STREAMING:
            raise NeedsOwnConnectionError(f"{spec.name} does not give one reply: {spec.own}")
        await self.initialize()
        borrowed = self._borrowed
        if borrowed is None:
            raise UnavailableError("the connection was closed")
        self._changed = self._changed or spec.own is not None or not spec.known
        wait = spec.wait(canonical[len(spec.words) :]) if spec.wait is not None else None
        deadline = self.options.deadline(waits=wait)
        try:
            reply = await deadline.wait(
                request.submit(borrowed.lane), lambda: Expired("no reply within the budget")
            )
        except (LaneLost, Expired, ConnectionError) as fault:
            raise OutcomeUnknownError(
                f"{spec.name} got no answer on its own connection ({fault})",
                command=spec.name,
                node=str(borrowed.node),
            ) from fault
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        return await self.shape(args[0], reply, options)
