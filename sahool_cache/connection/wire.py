"""
What a lane needs of a connection; the simulation has one of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Wire"]


class Wire(Protocol):
    """
    What a lane needs of a connection: a greeted transport, and who greeted.
    """

    role: str | None
    client_id: int | None

    def attach(
        self, received: Callable[[bytes], None], lost: Callable[[BaseException | None], None]
    ) -> asyncio.WriteTransport:
        """
        Hands every byte from now on to `received`, and the end of the connection to `lost`.
        """
        ...

    def cut(self) -> None:
        """
        Ends the connection at once.
        """
        ...
