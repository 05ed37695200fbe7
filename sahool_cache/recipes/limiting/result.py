"""
What the rate limiter answers, and how HTTP says it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, TypeAlias, get_args

from sahool_cache.recipes.limiting.limit import Limit

__all__ = ["HeaderStyle", "RateLimitResult", "Standing"]

HeaderStyle: TypeAlias = Literal["ietf", "legacy", "x"]


class Standing(NamedTuple):
    """
    How an id stands with one limit: requests left, and whole microseconds until the full quota is
    back and until the call passes (0 when this limit lets it pass).
    """

    remaining: int
    reset_after: int
    retry_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitResult:
    """
    Whether a call may go on; it is true or false as `allowed` is. Durations are in seconds.

    With several limits, the most constraining one is reported: of those that refuse the one that
    does so longest, otherwise that with the fewest requests left.
    """

    allowed: bool

    reported: Limit
    """The limit that `limit`, `remaining` and `reset_after` speak of."""

    remaining: int
    """How many requests may still pass at this moment."""

    reset_after: float
    """Until the full quota is back."""

    retry_after: float
    """Until a call of this cost passes if nobody else asks; 0.0 when this one was allowed."""

    degraded: bool = False
    """Redis could not be asked, and `on_outage` answered; the figures are as good as it knows."""

    limits: tuple[Limit, ...]
    """All limits of the limiter."""

    @classmethod
    def of(
        cls,
        limits: tuple[Limit, ...],
        standings: Sequence[Standing],
        *,
        allowed: bool,
        degraded: bool = False,
    ) -> Self:
        """
        The result for these limits, in the order of the standings.
        """
        at = 0
        if len(limits) > 1:
            at = min(range(len(limits)), key=lambda i: _room(standings[i], allowed=allowed))
        remaining, reset_after, retry_after = standings[at]
        return cls(
            allowed=allowed,
            reported=limits[at],
            remaining=remaining,
            reset_after=reset_after / 1e6,
            retry_after=0.0 if allowed else retry_after / 1e6,
            degraded=degraded,
            limits=limits,
        )

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def limit(self) -> int:
        """
        The full quota, in requests.
        """
        return self.reported.max_requests

    def headers(self, style: HeaderStyle = "ietf", *, name: str = "default") -> dict[str, str]:
        """
        The fields of an HTTP response; a refusal has ``Retry-After`` in every style.

        - ``ietf``: ``RateLimit-Policy`` and ``RateLimit``, as version 10 of
          draft-ietf-httpapi-ratelimit-headers has them. The policy is called `name`; with several
          limits each is ``<name>-<max_requests>/<window>s``. A window of no whole number of seconds
          is left out, since the draft cannot say it.
        - ``legacy``: ``RateLimit-Limit``, ``-Remaining`` and ``-Reset`` of its earlier versions.
        - ``x``: ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset``.

        The reset is in seconds from now in all of them, never a date: `reset_after`, or what
        ``Retry-After`` says after a refusal. Rounded up.

        Raises `ValueError` for another style, and for a name that is not printable ASCII.
        """
        if style not in get_args(HeaderStyle):
            known = ", ".join(get_args(HeaderStyle))
            raise ValueError(f"style must be one of {known}, not {style!r}")
        wait = max(1, math.ceil(self.retry_after))
        reset = math.ceil(self.reset_after) if self.allowed else wait
        fields = {} if self.allowed else {"Retry-After": str(wait)}
        if style == "ietf":
            policies = {limit: self._policy(limit, name) for limit in self.limits}
            fields["RateLimit-Policy"] = ", ".join(
                f"{policy};q={limit.max_requests}{_window(limit)}"
                for limit, policy in policies.items()
            )
            fields["RateLimit"] = f"{policies[self.reported]};r={self.remaining};t={reset}"
        else:
            prefix = "RateLimit" if style == "legacy" else "X-RateLimit"
            fields[f"{prefix}-Limit"] = str(self.limit)
            fields[f"{prefix}-Remaining"] = str(self.remaining)
            fields[f"{prefix}-Reset"] = str(reset)
        return fields

    def _policy(self, limit: Limit, name: str) -> str:
        if not (name and name.isascii() and name.isprintable()):
            raise ValueError(f"name must be printable ASCII, not {name!r}")
        text = name if len(self.limits) == 1 else f"{name}-{limit}"
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


def _room(standing: Standing, *, allowed: bool) -> tuple[int, int]:
    """
    The less of it, the more constraining.
    """
    if allowed:
        return standing.remaining, -standing.reset_after
    return -standing.retry_after, standing.remaining


def _window(limit: Limit) -> str:
    return f";w={limit.window:.0f}" if limit.window.is_integer() else ""
