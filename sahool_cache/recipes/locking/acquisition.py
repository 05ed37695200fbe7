"""
One acquisition of a lock: taken, kept as long as the lock object lives, given back.
"""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import Any
from weakref import ref

from redis.exceptions import RedisError

from sahool_cache.client import RedisClient
from sahool_cache.errors import ClientClosedError, NotDurableError
from sahool_cache.recipes.locking.claim import ANSWERS, Claim, Granted
from sahool_cache.recipes.locking.line import Lines
from sahool_cache.recipes.locking.terms import Terms
from sahool_cache.recipes.shared import uncancelled

__all__ = ["Acquisition"]


class Acquisition:
    """
    Belongs to the task that asked for it. `ends` is the end of the lease (`time.monotonic`) as far
    as it is known here, counted from before the server was asked: the server's is later.
    """

    def __init__(self, lock: object, terms: Terms) -> None:
        self.lock = ref(lock)  # not held: a lock that was forgotten must not be renewed for ever
        self.fence = 0
        self.ends = 0.0
        self.over = False
        self.scope: asyncio.Timeout | None = None
        self._terms = terms
        self._pid = os.getpid()
        self._task = _running_task()
        self._refuted = False
        self._claim: Claim
        self._lines: Lines
        self._timer: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """
        Whether it was taken and not given back, also when it was lost meanwhile; never in a forked
        child: it is the parent's.
        """
        return self.fence > 0 and not self.over and self._pid == os.getpid()

    @property
    def lost(self) -> bool:
        """
        Whether somebody else has the lock, or may have it.
        """
        return self._refuted or monotonic() >= self.ends

    @property
    def orphaned(self) -> bool:
        """
        Whether the task that it belongs to has ended.
        """
        task = None if self._task is None else self._task()
        return task is None or task.done()

    async def take(self, client: RedisClient) -> bool:
        """
        Whether it has the lock in time. If not, for whatever reason, the server forgets the token.
        """
        self._claim, self._lines = Claim(client, self._terms), client.companion(Lines)
        granted = None
        try:
            granted = await self._granted(monotonic() + self._terms.wait)
        except NotDurableError as error:
            # Kept, it would be a lock that the next master may not know of: what was asked for is
            # that this cannot be.
            raise NotDurableError(
                f"too few replicas have the lock {self._terms.name!r}: it is released ({error})",
                command=error.command,
                node=error.node,
                confirmed=error.confirmed,
                wanted=error.wanted,
            ) from error
        finally:
            if granted is None and self._claim.in_doubt:
                await self._withdraw()
        if granted is None:
            return False
        self.fence, self.ends = granted.fence, granted.since + self._terms.lease
        self._timer = asyncio.get_running_loop().call_later(
            max(0.0, granted.since + self._terms.lease / 3 - monotonic()), self._start_renewing
        )
        return True

    async def _granted(self, limit: float) -> Granted | None:
        if not self._terms.wait:
            answer = await self._claim.ask(limit)
            return answer if isinstance(answer, Granted) else None
        line = self._lines.enter(self._claim.channel)
        try:
            return await line.wait_for(lambda: self._claim.ask(limit), self._terms.lease, limit)
        finally:
            self._lines.leave(line)

    async def _withdraw(self) -> None:
        """
        Gives back what may have been taken all the same, and the place in the queue. Waits for that
        while a server that is well would answer; it is tried for as long as the lease.
        """
        task = self._release_task(self._terms.lease)
        await uncancelled(
            self._lines.shared.start(asyncio.wait({task}, timeout=ANSWERS), name="withdraw a lock")
        )

    def _release_task(self, seconds: float) -> asyncio.Task[bool]:
        task = self._lines.shared.start(self._claim.withdraw(seconds), name="release a lock")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def _start_renewing(self) -> None:
        self._timer = None
        self._renewing = self._lines.shared.start(self._renew(), name="renew a lock")

    async def _renew(self) -> None:
        while self.lock() is not None and not self.lost:
            sent = monotonic()
            try:
                mine = await self._claim.renew(self.ends - sent)
            except ClientClosedError:
                return
            except RedisError:  # an outage: it may be over before the lease is
                await asyncio.sleep(min(0.1, self._terms.lease / 30))
                continue
            if not mine:
                self._refuted = True
                self._reschedule(monotonic())
                return
            self.ends = sent + self._terms.lease
            self._reschedule(self.ends)
            await asyncio.sleep(max(0.0, sent + self._terms.lease / 3 - monotonic()))

    def begin_scope(self) -> asyncio.Timeout:
        """
        What cancels the body of an `async with` when the lock is lost; to be entered.
        """
        self.scope = asyncio.timeout(self.ends - monotonic())
        return self.scope

    def _reschedule(self, when: float | None) -> None:
        if self.scope is not None and not self.scope.expired():
            now = asyncio.get_running_loop().time()
            self.scope.reschedule(None if when is None else now + when - monotonic())

    async def release(self) -> bool:
        """
        Whether it had the lock until now, and has given it back; one round trip, which no
        cancellation cuts short. Raises `UnavailableError` or `OutcomeUnknownError` when the server
        could not be asked while the lease lasts: the lock ends with it.
        """
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        self._reschedule(None)
        if self.lost:
            return False
        task = self._release_task(self.ends - monotonic())
        await uncancelled(task)
        if task.cancelled():
            raise ClientClosedError("the client was closed before the lock was released")
        return task.result()


def _running_task() -> ref[asyncio.Task[Any]] | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs: `asyncio.run(lock.acquire())`
        return None
    return None if task is None else ref(task)
