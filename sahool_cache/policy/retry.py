"""
Repeats a call where the verdict on its failure and the command itself allow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal, Protocol, TypeVar

from sahool_cache.errors import (
    DeadlineExceededError,
    OutcomeUnknownError,
    SahoolCacheError,
    UnavailableError,
    Verdict,
)
from sahool_cache.policy.deadline import Deadline

__all__ = ["Repeat", "Request", "Retry", "RetryBudget"]

Repeat = Literal["never", "safe", "always"]

BACKOFF_FIRST, BACKOFF_CAP = 0.01, 0.25
"""Seconds before a call is repeated that the server told to come back; half of it is random."""

R = TypeVar("R", bound="Request")


class Request(Protocol):
    """
    What a policy needs to know of a command.
    """

    @property
    def name(self) -> str:
        """
        What errors call it.
        """
        ...

    @property
    def harmless(self) -> bool:
        """
        Whether it changes nothing.
        """
        ...

    @property
    def repeatable(self) -> bool:
        """
        Whether it may run twice.
        """
        ...


class RetryBudget:
    """
    How many attempts beyond the first may be spent: at most `size` at once, and then as many
    as refill, `size` in ten seconds. Bounds what many callers together do to a sick server.
    """

    def __init__(self, size: int, now: Callable[[], float]) -> None:
        self.size = size
        self._now = now
        self._left = float(size)
        self._refilled = now()

    def take(self) -> bool:
        """
        Spends one attempt; False when none is left.
        """
        now = self._now()
        self._left = min(self.size, self._left + (now - self._refilled) * self.size / 10)
        self._refilled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Retry:
    """
    Runs attempts until one answers, the budget of time or of attempts ends, or a repeat
    would not be safe. `judge(error)` gives the verdict on a failed attempt.
    """

    def __init__(
        self, *, budget: RetryBudget, judge: Callable[[BaseException], Verdict], random: Random
    ) -> None:
        self.repeats = 0
        self._budget = budget
        self._judge = judge
        self._random = random

    async def run(
        self,
        request: R,
        attempt: Callable[[R, Deadline], Awaitable[Any]],
        deadline: Deadline,
        mode: Repeat = "safe",
        fault: Exception | None = None,
    ) -> Any:
        """
        The reply. `fault` is the failure of an attempt that was made before.

        Raises what the server refused with, `UnavailableError` when nothing was changed, and
        `OutcomeUnknownError` when something may have been.
        """
        in_doubt = False
        backoff = 0.0
        while True:
            if fault is None:
                try:
                    return await attempt(request, deadline)
                except UnavailableError as error:  # no attempt was made
                    if in_doubt:
                        raise _unknown(request, error) from error
                    raise
                except Exception as error:  # noqa: BLE001  # judged below
                    fault = error
            verdict = self._judge(fault)
            if verdict is Verdict.REFUSED:
                raise fault
            if verdict is Verdict.UNKNOWN:
                in_doubt = in_doubt or not request.harmless
                if not (request.harmless or _may_repeat(request, mode)):
                    raise _unknown(request, fault) from fault
            if mode == "never" or deadline.passed or not self._budget.take():
                raise _give_up(
                    request,
                    fault,
                    verdict,
                    in_doubt=in_doubt,
                    too_late=deadline.passed,
                ) from fault
            self.repeats += 1
            # A lost connection is no reason to pause: the next one is waited for anyhow. A server
            # that said "not now", and whatever goes wrong again, is given time.
            if backoff or _is_reply(fault):
                backoff = backoff or BACKOFF_FIRST
                pause = backoff * (1 - self._random.random() / 2)
                await asyncio.sleep(min(pause, deadline.left))
                if deadline.passed:
                    raise _give_up(
                        request, fault, verdict, in_doubt=in_doubt, too_late=True
                    ) from fault
            backoff = min(BACKOFF_CAP, (backoff or BACKOFF_FIRST) * 2)
            fault = None


def _may_repeat(request: Request, mode: Repeat) -> bool:
    return mode == "always" or (mode == "safe" and request.repeatable)


def _is_reply(fault: Exception) -> bool:
    return not isinstance(fault, SahoolCacheError) and hasattr(fault, "status_code")


def _unknown(request: Request, cause: Exception) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{request.name} was sent and no answer came ({_why(cause)}): it may or may not have run",
        command=request.name,
        node=getattr(cause, "node", None),
    )


def _give_up(
    request: Request, fault: Exception, verdict: Verdict, *, in_doubt: bool, too_late: bool
) -> Exception:
    if in_doubt:
        return _unknown(request, fault)
    if verdict is Verdict.NOTHING_RAN and _is_reply(fault):
        return fault
    kind = DeadlineExceededError if too_late else UnavailableError
    return kind(f"{request.name} was not served ({_why(fault)}); nothing was changed")


def _why(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
