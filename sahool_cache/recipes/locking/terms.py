"""
What is asked of a lock, checked; and what it is called at the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Literal, Self

from sahool_cache.view import positive_seconds

__all__ = ["Replicas", "Terms"]

Replicas = int | Literal["all"]

SHORTEST, LONGEST = 0.01, 1e9
"""Seconds: a lease that ends before the server's answer is there is none; and what a server takes
for a time to live has an end, after thirty years here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    Durations are in seconds. What the keys are for is told in ``lua/lock_acquire.lua``.
    """

    name: str
    prefix: str
    lease: float
    wait: float
    fair: bool
    replicas: Replicas

    @property
    def lease_ms(self) -> int:
        """
        The lease as the server is told; not less than what is counted here.
        """
        return ceil(self.lease * 1000)

    @property
    def key(self) -> str:
        """
        The lock itself.
        """
        return f"{self.prefix}:{self.name}"

    @property
    def fence_key(self) -> str:
        """
        The counter of all locks of the prefix; no lock's own key begins like this.
        """
        return f"{self.prefix}-fence"

    @property
    def queue_keys(self) -> tuple[str, ...]:
        """
        The two of a fair lock's queue.
        """
        if not self.fair:
            return ()
        return f"{self.prefix}-queue:{self.name}", f"{self.prefix}-patience:{self.name}"

    @classmethod
    def checked(
        cls,
        *,
        name: str,
        prefix: str,
        timeout: float | timedelta,
        wait: float | timedelta | None,
        fair: bool,
        require_replicas: Replicas,
    ) -> Self:
        """
        Raises `TypeError` or `ValueError` that names the argument.
        """
        for argument, text in (("name", name), ("prefix", prefix)):
            if not isinstance(text, str):
                raise TypeError(f"{argument} must be a str, not {type(text).__name__}")
            if not text:
                raise ValueError(f"{argument} must not be empty")
        if not isinstance(fair, bool):
            raise TypeError(f"fair must be True or False, not {fair!r}")
        lease = positive_seconds(timeout)
        if not SHORTEST <= lease <= LONGEST:
            raise ValueError(
                f"timeout must be from {SHORTEST} to {LONGEST:.0f} seconds, not {timeout!r}"
            )
        return cls(
            name=name,
            prefix=prefix,
            lease=lease,
            wait=lease if wait is None else _seconds_to_wait(wait),
            fair=fair,
            replicas=_checked_replicas(require_replicas),
        )

    def released_key(self, token: str) -> str:
        """
        Where the release of that token is remembered for a while.
        """
        return f"{self.prefix}-released:{token}"


def _seconds_to_wait(wait: float | timedelta) -> float:
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"wait must be a number of seconds, not {wait!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"wait must be at least 0 and finite, not {wait!r}")
    return float(seconds)


def _checked_replicas(replicas: Replicas) -> Replicas:
    if replicas == "all":
        return replicas
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise TypeError(f'require_replicas must be a number or "all", not {replicas!r}')
    if replicas < 0:
        raise ValueError(f"require_replicas must not be negative, not {replicas!r}")
    return replicas
