"""
`DistributedLock`: one owner at a time among all processes that share the Redis group.

What it promises, and what not:

- While the group is well, one owner at a time. The lock has a lease at the server, renewed while
  it is held: an owner that dies blocks the others for at most `timeout` seconds.
- **A failover may give it to two owners for a while.** Redis replicates asynchronously: the replica
  that is promoted may lack the key. The first owner is told within `timeout` / 3 seconds, and the
  body of its ``async with`` is cancelled. `require_replicas` makes it rare, not impossible.
- **A process may be paused** (a debugger, a full machine, an event loop that is blocked) beyond the
  end of its lease, and go on without knowing. Clocks are assumed to run at the same speed, not to
  show the same time.
- **So let the resource check the fence,** if two owners would do harm and not only double work.
  `lock.fence` is higher for each acquisition than for all before it, across failovers, also those
  that lose writes. A resource that remembers the highest it has seen and refuses what is lower is
  safe, whatever happens to Redis. Where a resource cannot, the lock saves work and does not
  protect data.
- The numbers need a counter that survives. A master that restarts by itself, without a failover,
  with older data or none may repeat some; so may a group whose sentinels are all set up anew. Let
  Redis persist, or do not let it restart by itself. ``maxmemory-policy allkeys-*`` may evict locks
  and the counter: use ``noeviction``, or another server.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from redis.exceptions import RedisError

from sahool_cache.client import RedisClient
from sahool_cache.errors import LockLostError, LockNotAcquiredError, UsageError
from sahool_cache.recipes.locking.acquisition import Acquisition
from sahool_cache.recipes.locking.held import begun, entered, held
from sahool_cache.recipes.locking.terms import Replicas, Terms
from sahool_cache.recipes.shared import GivenClient, client_of

__all__ = ["DistributedLock"]


class DistributedLock:
    """
    A lock by name. ``async with DistributedLock("process:export", timeout=10) as lock:`` waits for
    it, keeps it as long as the body runs, cancels the body when it is lost, and gives it back. What
    that is worth after a failover: see the top of this module.

    - `timeout`: seconds of the lease. Renewed every third of it; an owner that died, or a lock
      object that was dropped without `release`, blocks others for no longer.
    - `wait`: seconds that acquiring takes at most; None is `timeout`, 0 asks once. A server that
      does not answer may take two more.
    - `fair`: first come, first served, also across processes; after a failover as far as the queue
      was replicated. All who use the name must agree on it. A process that dies while it waits
      keeps its place for seven seconds at most. Without it that is so within a process; among
      processes the quickest has it, and where all are busy one may wait for long.
    - `require_replicas`: how many replicas, or "all", must have the lock before it counts; costs a
      ``WAIT``. 0 is what the client's settings say.
    - `prefix`: of its keys. The lock is the string key ``<prefix>:<name>``, so ``SET key token NX
      PX`` in another language excludes as well. Fences are counted per prefix.
    - `client`: a `RedisClient`, a function that gives one, or None for `get_redis_client()`.

    One object may be used again and again, and by many tasks at once: each acquisition belongs to
    the task that called `acquire`, and to those that it starts while it has it. Not re-entrant.
    Acquiring and releasing cost one round trip each; whoever waits is woken by a message.
    """

    def __init__(
        self,
        name: str,
        timeout: float | timedelta = 10,
        *,
        wait: float | timedelta | None = None,
        fair: bool = False,
        require_replicas: Replicas = 0,
        prefix: str = "lock",
        client: GivenClient = None,
    ) -> None:
        self._terms = Terms.checked(
            name=name,
            timeout=timeout,
            wait=wait,
            fair=fair,
            require_replicas=require_replicas,
            prefix=prefix,
        )
        if not (client is None or isinstance(client, RedisClient) or callable(client)):
            raise TypeError(f"client must be a RedisClient, or give one, not {client!r}")
        self._given = client
        self._acquisitions: set[Acquisition] = set()

    def __repr__(self) -> str:
        terms = self._terms
        fair = ", fair" if terms.fair else ""
        return f"<DistributedLock {terms.key!r}, timeout {terms.lease:g} s{fair}>"

    def acquire(self) -> Coroutine[Any, Any, bool]:
        """
        Whether the calling task has the lock within `wait` seconds; ``await lock.acquire()``.

        Raises `UnavailableError` when the server could not be asked, `OutcomeUnknownError` when it
        was asked and did not answer, `NotDurableError` when too few replicas have the lock: it is
        not held then, and what may have been taken is given back, as after a cancellation.
        """
        # Begun here, not in the coroutine: `wait_for` on Python 3.11 runs that in another task.
        return self._take(begun(Acquisition(self, self._terms)))

    async def _take(self, acquisition: Acquisition) -> bool:
        try:
            taken = await acquisition.take(client_of(self._given))
        except BaseException:
            acquisition.over = True
            raise
        acquisition.over = not taken
        if taken:
            self._acquisitions.add(acquisition)
        return taken

    async def release(self) -> bool:
        """
        Whether the calling task had the lock until now; it is free now. False when it was lost, and
        when another task has it. No cancellation cuts it short.

        Raises `UnavailableError` or `OutcomeUnknownError` when the server could not be asked while
        the lease lasts; it is not renewed any more then, and ends by itself.
        """
        acquisition = held(self, self._acquisitions)
        if acquisition is None:
            return False
        self._acquisitions.discard(acquisition)
        return await acquisition.release()

    @property
    def fence(self) -> int:
        """
        The number of the calling task's acquisition, for the resource to check; also after it was
        lost, until it is released. Raises `UsageError` in a task that does not hold the lock.
        """
        acquisition = held(self, self._acquisitions)
        if acquisition is None:
            raise UsageError(f"this task does not hold the lock {self._terms.name!r}")
        return acquisition.fence

    @property
    def owned(self) -> bool:
        """
        Whether the calling task holds the lock, by its lease as it is known here; no I/O.
        """
        acquisition = held(self, self._acquisitions)
        return acquisition is not None and not acquisition.lost

    async def __aenter__(self) -> Self:
        acquisition = begun(Acquisition(self, self._terms))
        if not await self._take(acquisition):
            raise LockNotAcquiredError(
                f"the lock {self._terms.name!r} was not free within {self._terms.wait:g} s",
                self._terms.name,
            )
        await acquisition.begin_scope().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        acquisition = entered(self, self._acquisitions)
        if acquisition is None or acquisition.scope is None:
            return
        scope, acquisition.scope = acquisition.scope, None
        lost, cut = acquisition.held and acquisition.lost, False
        try:
            await scope.__aexit__(kind, error, trace)
        except TimeoutError:
            lost = cut = True
        if acquisition.held:
            self._acquisitions.discard(acquisition)
            lost = not await self._given_back(acquisition) or lost
        if lost and (cut or error is None or isinstance(error, Exception)):
            raise LockLostError(
                f"the lock {self._terms.name!r} was lost while it was held", self._terms.name
            ) from error

    async def _given_back(self, acquisition: Acquisition) -> bool:
        try:
            return await acquisition.release()
        except RedisError as error:  # the body has ended within the lease: all that matters
            logging.getLogger("sahool_cache.recipes").warning(
                "The lock %r could not be released, and ends with its lease: %s",
                self._terms.name,
                error,
            )
            return True
