"""
What a rate limiter answers while Redis cannot be asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeAlias

from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from sahool_cache.errors import OutcomeUnknownError, UnavailableError
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.local import LocalLimiter
from sahool_cache.recipes.limiting.result import RateLimitResult, Standing

__all__ = ["OnOutage", "Operation", "Outage", "is_outage"]

OnOutage: TypeAlias = Literal["allow", "deny", "local"]
Operation: TypeAlias = Literal["take", "peek", "refund"]

CALM = 1.0
"""Seconds without a failure after which an outage is over: calls that fail now and then are one."""

RETRY_AFTER = 1.0
"""Seconds after which to ask again, where nobody knows better."""


UNSERVED = ("BUSY ", "MISCONF ", "NOREPLICAS ")
"""How replies begin of a server that cannot count now; MISCONF: it cannot write to its disk."""


def is_outage(error: RedisError) -> bool:
    """
    Whether it says that Redis cannot be asked now, not that the question was wrong.
    """
    if isinstance(error, ResponseError) and str(error).startswith(UNSERVED):
        return True
    return isinstance(
        error,
        (
            UnavailableError,
            OutcomeUnknownError,
            BusyLoadingError,
            MasterDownError,
            OutOfMemoryError,
            ReadOnlyError,
        ),
    )


class Outage:
    """
    Answers as `policy` says, and logs when that begins and ends.
    """

    def __init__(
        self,
        limits: tuple[Limit, ...],
        policy: OnOutage,
        processes: int,
        *,
        name: str,
        now: Callable[[], float],
    ) -> None:
        self.goes_on = False
        self.local = LocalLimiter(limits, processes)
        self._limits = limits
        self._policy = policy
        self._name = name
        self._now = now
        self._began = self._failed = 0.0
        self._logger = logging.getLogger("sahool_cache.recipes")

    def failed(self, error: Exception) -> None:
        """
        A call was not answered by Redis.
        """
        self._failed = self._now()
        if not self.goes_on:
            self.goes_on, self._began = True, self._failed
            self._logger.warning(
                "The rate limiter %r goes on without Redis (on_outage=%r): %s",
                *(self._name, self._policy, error),
            )

    def served(self) -> None:
        """
        A call was answered by Redis, while the outage goes on.
        """
        if self._now() - self._failed >= CALM:
            self.goes_on = False
            self.local.forget()
            self._logger.info(
                "The rate limiter %r has Redis again, after %.1f s",
                *(self._name, self._failed - self._began),
            )

    def answer(
        self, do: Operation, identifier: str, cost: int, error: Exception
    ) -> RateLimitResult:
        """
        What the caller gets instead of Redis's own answer.
        """
        if self._policy == "local":
            return self._locally(do, identifier, cost)
        allowed = self._policy == "allow"
        wait = 0.0 if allowed else getattr(error, "retry_after", 0.0) or RETRY_AFTER
        smallest = min(self._limits, key=lambda limit: limit.max_requests)
        return RateLimitResult(
            allowed=allowed,
            reported=smallest,
            remaining=smallest.max_requests if allowed else 0,
            reset_after=wait,
            retry_after=wait,
            degraded=True,
            limits=self._limits,
        )

    def _locally(self, do: Operation, identifier: str, cost: int) -> RateLimitResult:
        now = round(self._now() * 1e6)
        standings: list[Standing]
        if do == "take":
            standings = self.local.take(identifier, cost, now)
        elif do == "refund":
            standings = self.local.refund(identifier, cost, now)
        else:
            standings = self.local.peek(identifier, now)
        allowed = not any(standing.retry_after for standing in standings)
        return RateLimitResult.of(self._limits, standings, allowed=allowed, degraded=True)
