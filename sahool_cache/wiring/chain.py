"""
The life of a call: budget, attempts, and what is remembered of it.
"""

from __future__ import annotations

import asyncio
from _thread import get_ident
from asyncio import _get_running_loop
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, Protocol

from redis.exceptions import ReadOnlyError

from sahool_cache.connection.faults import Expired, LaneLost, judge
from sahool_cache.connection.request import Batch, Single
from sahool_cache.errors import OutcomeUnknownError, Verdict
from sahool_cache.events import SlowCommand
from sahool_cache.observers import Events
from sahool_cache.policy.deadline import Deadline
from sahool_cache.policy.retry import Retry, RetryBudget
from sahool_cache.recorder import Recorder
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.attempts import Attempts
from sahool_cache.wiring.dialling import Dialler
from sahool_cache.wiring.fleet import Fleet
from sahool_cache.wiring.options import CallOptions
from sahool_cache.wiring.servers import Servers

__all__ = ["Chain", "OwnWrites"]


class OwnWrites(Protocol):
    """
    Must know what this client has written.
    """

    def wrote(self, commands: Iterable[Sequence[Any]]) -> None:
        """
        Takes note of commands that may have run.
        """
        ...


class Chain:
    """
    One client's whole machinery on one event loop. `fleet.run()` must be running for it to serve.
    """

    def __init__(
        self,
        settings: RedisSettings,
        dialler: Dialler,
        *,
        random: Random,
        events: Events,
        recorder: Recorder,
    ) -> None:
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        self.now = self.loop.time
        self.events = events
        self.fleet = Fleet(settings, dialler, random=random, events=events, on_pulse=self._pulse)
        self.servers = Servers(self.fleet, random)
        self.retry = Retry(
            budget=RetryBudget(settings.retry_budget, self.now), judge=self._judge, random=random
        )
        self.slow_threshold = settings.slow_threshold or float("inf")
        self.attempts = Attempts(self.fleet, self.servers, recorder)
        self.own_writes: OwnWrites | None = None
        self._recorder = recorder
        self._settling = False

    async def send(
        self,
        request: Single | Batch,
        options: CallOptions,
        *,
        deadline: Deadline | None = None,
        fault: Exception | None = None,
    ) -> Any:
        """
        The reply, after as many attempts as budget and safety allow.

        `fault` is the failure of a first attempt that took the quick way.
        """
        deadline = deadline or options.deadline()
        if isinstance(fault, LaneLost | Expired) and not request.reads:
            fault.node = str(self.fleet.topology.master)

        async def attempt(request: Single | Batch, deadline: Deadline) -> Any:
            return await self.attempts.make(request, options, deadline)

        try:
            reply = await self.retry.run(request, attempt, deadline, options.retry, fault)
        except OutcomeUnknownError as error:
            self._recorder.left_unknown(request.name, error.node, self.now())
            raise
        finally:
            self.wrote(request)  # it may have run, whatever is raised
        if request.writes:
            self._recorder.wrote(self.now())
        return reply

    async def commit(self, request: Single, options: CallOptions) -> Any:
        """
        The quick way of a durable write: `send`, but for a first attempt that finds all well.
        """
        fleet = self.fleet
        if fleet.hot is None or fleet.settling or request.needs_own:
            return await self.send(request, options)
        deadline = options.deadline()
        try:
            reply = await self.attempts.commit(request, options, deadline)
        except Exception as fault:  # noqa: BLE001  # judged there
            return await self.send(request, options, deadline=deadline, fault=fault)
        finally:
            self.wrote(request)
        self._recorder.wrote(self.now())
        return reply

    def wrote(self, request: Single | Batch) -> None:
        """
        Takes note of what may have run, if it was a write.
        """
        if self.own_writes is not None and request.writes:
            self.own_writes.wrote(request.commands)

    def _pulse(self) -> None:
        self._recorder.pulse(self.now(), self.fleet.timings())
        if self._settling and not self.fleet.settling:
            self.fleet.line.wake()
        self._settling = self.fleet.settling

    def _judge(self, fault: BaseException) -> Verdict:
        if isinstance(fault, ReadOnlyError):  # our master is none any more: find out at once
            self.fleet.watcher.suspect()
        return judge(fault)

    def here(self) -> bool:
        """
        Whether the running event loop is this chain's own.
        """
        return _get_running_loop() is self.loop

    def told(self, name: str, seconds: float, waited: float = 0.0) -> None:
        """
        Tells the observers of a call that was slow.
        """
        self.events.emit(SlowCommand(at=self.now(), command=name, seconds=seconds, waited=waited))
