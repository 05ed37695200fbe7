"""
What is built on a client, belongs to it on its event loop, and ends before it does.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, TypeVar

__all__ = ["Companion", "Companions"]


class Companion(Protocol):
    """
    Is made for a client in its running event loop, and closed before that client is.
    """

    def __init__(self, client: Any) -> None: ...

    async def aclose(self) -> None:
        """
        Ends its tasks and gives back what it has of the client; must not raise.
        """
        ...


C = TypeVar("C", bound=Companion)


class Companions:
    """
    At most one of each kind, for the running loop: what another loop had is forgotten.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._of: dict[type[Companion], Companion] = {}

    def get(self, kind: type[C], client: Any) -> C:
        """
        The one of that kind, made for this client if need be.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._of = loop, {}
        found = self._of.get(kind)
        if found is None:
            found = self._of[kind] = kind(client)
        return found  # type: ignore[return-value]  # it was filed under its own kind

    async def aclose(self) -> None:
        """
        Closes those of the running loop.
        """
        if self._loop is asyncio.get_running_loop():
            while self._of:
                await self._of.popitem()[1].aclose()
