"""
Whose chain serves the calls of a view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from sahool_cache.near_cache import NearCache
from sahool_cache.wiring.chain import Chain

__all__ = ["Callback", "Owner"]

Callback: TypeAlias = Callable[..., Any]


class Owner(Protocol):
    """
    Whose chain serves the calls.
    """

    chain: Chain | None
    near_cache: NearCache | None
    decode_responses: bool
    response_callbacks: dict[str, Callback]

    async def ready(self) -> Chain:
        """
        The running machinery, started if need be.
        """
        ...
