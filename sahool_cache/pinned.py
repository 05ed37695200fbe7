"""
`redis.client()`: every command method on one connection of its own.
"""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self

from redis.client import EMPTY_RESPONSE
from redis.exceptions import ResponseError

from sahool_cache.caller import Caller
from sahool_cache.commands import lookup
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import Expired, LaneLost
from sahool_cache.connection.request import Single
from sahool_cache.errors import (
    ClientClosedError,
    NeedsOwnConnectionError,
    OutcomeUnknownError,
    UnavailableError,
)
from sahool_cache.owner import Owner
from sahool_cache.wiring.options import CallOptions

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
    a failover, and nothing is repeated: the state would be gone. `durability` is not applied: use
    its own `wait()`, which speaks of this connection's writes.
    """

    def __init__(self, owner: Owner, options: CallOptions, *, decode: bool) -> None:
        super().__init__(owner, options, quick=False, decode=decode)
        self._borrowed: Borrowed | None = None
        self._taking = asyncio.Lock()
        self._changed = False
        self._handed_back = False

    async def __aenter__(self) -> Self:
        self._handed_back = False
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
        await self._own()
        return self

    async def _own(self) -> Borrowed:
        async with self._taking:
            if self._handed_back:
                raise ClientClosedError("this connection was handed back")
            if self._borrowed is None:
                chain = await self.ready()
                self._borrowed = await chain.servers.hold(self.options.deadline())
            return self._borrowed

    async def aclose(self) -> None:
        """
        Hands the connection back, or ends it where its state was changed.
        """
        async with self._taking:
            self._handed_back = True
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
            instead = "" if "client()" in (spec.own or "") else f": {spec.own}"
            raise NeedsOwnConnectionError(f"{spec.name} does not give one reply{instead}")
        borrowed = await self._own()
        self._changed = self._changed or spec.own is not None or not spec.known
        if self.options.causality is not None and spec.writes:
            self.options.causality.wrote((await self.ready()).fleet.topology, None)
        wait = spec.wait(canonical[len(spec.words) :]) if spec.wait is not None else None
        deadline = self.options.deadline(waits=wait)
        chain = await self.ready()
        try:
            reply = await deadline.wait(
                request.submit(borrowed.lane), lambda: Expired("no reply within the budget")
            )
        except (LaneLost, Expired, ConnectionError) as fault:
            if spec.harmless or (isinstance(fault, LaneLost) and not fault.sent):
                raise UnavailableError(
                    f"{spec.name} was not served on its own connection ({fault})",
                    node=str(borrowed.node),
                ) from fault
            raise OutcomeUnknownError(
                f"{spec.name} got no answer on its own connection ({fault})",
                command=spec.name,
                node=str(borrowed.node),
            ) from fault
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        finally:
            chain.wrote(request)  # it may have run, whatever is raised
        reply = self.shape(args[0], reply, options)
        return await reply if isawaitable(reply) else reply
