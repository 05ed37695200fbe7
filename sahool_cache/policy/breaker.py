"""
One circuit breaker per node: aiobreaker keeps state and counter, we own admission and time.

aiobreaker by itself admits every caller while half-open, raises its own error in place of the
real one, and reckons in local time that is compared with UTC. So nothing is called through it:
outcomes are replayed into it, and its clock is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from aiobreaker.circuitbreaker import CircuitBreaker
from aiobreaker.state import CircuitBreakerError, CircuitBreakerState

from sahool_cache.errors import CircuitOpenError

__all__ = ["BreakerState", "NodeBreaker"]

BreakerState = Literal["closed", "open", "half_open"]

_STATES: dict[CircuitBreakerState, BreakerState] = {
    CircuitBreakerState.CLOSED: "closed",
    CircuitBreakerState.OPEN: "open",
    CircuitBreakerState.HALF_OPEN: "half_open",
}


class _StateMachine(CircuitBreaker):
    def open(self) -> None:
        # aiobreaker's own calls datetime.utcnow(), deprecated since Python 3.12: where warnings
        # are errors that breaker never opens.
        self._state_storage.opened_at = datetime(1970, 1, 1)  # noqa: DTZ001
        self.state = self._state_storage.state = CircuitBreakerState.OPEN


class NodeBreaker:
    """
    Closed: everybody may pass. Open, for `open_for` seconds: nobody. Then half-open: at most
    `probes` calls wait for the outcome of the next attempt, which closes or opens it again.

    `quick` is the hot path's whole check: closed, and no failure counted.
    """

    def __init__(
        self,
        node: str,
        *,
        failures: int,
        open_for: float,
        probes: int,
        now: Callable[[], float],
        on_change: Callable[[BreakerState], None],
    ) -> None:
        self.quick = True
        self._node = node
        self._open_for = open_for
        self._probes = probes
        self._probing = 0
        self._period = 0
        self._now = now
        self._on_change = on_change
        self._opened_at = 0.0
        self._machine = _StateMachine(fail_max=failures)
        self._state: BreakerState = "closed"

    @property
    def state(self) -> BreakerState:
        """
        ``closed``, ``open`` or ``half_open``.
        """
        return self._state

    @property
    def retry_after(self) -> float:
        """
        Seconds until the node is tried again; 0 unless open.
        """
        if self._state != "open":
            return 0.0
        return max(0.0, self._opened_at + self._open_for - self._now())

    def may_dial(self) -> float:
        """
        Seconds to hold off before the next attempt to connect; the attempt after an open
        period is the probe.
        """
        hold = self.retry_after
        if self._state == "open" and hold == 0:
            self._machine.half_open()
            self._moved()
        return hold

    def admit(self) -> int:
        """
        Lets a call wait for the node, or raises `CircuitOpenError`.

        A probe gets the number of its half-open period, and hands its place back by
        `release()`; everybody else gets 0.
        """
        if self._state == "closed":
            return 0
        if self._state == "half_open" and self._probing < self._probes:
            self._probing += 1
            return self._period
        after = self.retry_after or self._open_for / 10
        raise CircuitOpenError(
            f"{self._node} keeps failing; it is tried again in {after:.2f} s",
            node=self._node,
            retry_after=after,
        )

    def release(self, period: int) -> None:
        """
        Hands a probe's place back; one of an earlier period has none any more.
        """
        if period == self._period:
            self._probing = max(0, self._probing - 1)

    def failed(self) -> None:
        """
        Counts a failure; enough of them, or one while half-open, open the breaker.
        """
        self.quick = False
        if self._state != "open":
            self._replay(_fail)
            self._moved()

    def succeeded(self) -> None:
        """
        Forgets the failures; closes the breaker when it was half-open.
        """
        if self.quick:
            return
        if self._state == "open":  # a connection stands after all: that outweighs the clock
            self._machine.half_open()
        self._replay(_succeed)
        self.quick = True
        self._moved()

    def reset(self) -> None:
        """
        Closes at once: a verified topology change says more than old failures.
        """
        self._machine.close()
        self.quick = True
        self._moved()

    def _moved(self) -> None:
        state = _STATES[self._machine.current_state]
        if state != self._state:
            self._state = state
            self._period += 1
            self._probing = 0
            if state == "open":
                self._opened_at = self._now()
            self._on_change(state)

    def _replay(self, outcome: Callable[[], Coroutine[Any, Any, None]]) -> None:
        step = self._machine.call_async(outcome)
        with suppress(StopIteration, _Failed, CircuitBreakerError):
            step.send(None)  # an outcome never suspends, so one step ends it


class _Failed(Exception):
    pass


async def _fail() -> None:
    raise _Failed


async def _succeed() -> None:
    return None
