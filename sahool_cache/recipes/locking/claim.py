"""
One token's claim to a lock, as the server sees it: what is sent, and what the answer means.
"""

from __future__ import annotations

from random import random
from secrets import token_hex
from time import monotonic
from typing import Any

from sahool_cache.client import RedisClient
from sahool_cache.errors import NotDurableError
from sahool_cache.recipes.locking.epoch import ask_sentinels, confirmed
from sahool_cache.recipes.locking.terms import Replicas, Terms
from sahool_cache.recipes.scripts import LuaScript
from sahool_cache.recipes.shared import Shared
from sahool_cache.view import View

__all__ = ["Claim", "Granted", "Refused"]

ACQUIRE, RENEW, RELEASE = map(LuaScript, ("lock_acquire", "lock_renew", "lock_release"))

PATIENCE = 5.0
"""Seconds after which a waiter of a fair lock that does not ask any more loses its place."""

ANSWERS = 1.0
"""Seconds that a server has to answer, however little is left of the wait."""

NO_END = 1.0
"""Seconds between two looks at a lock that somebody else has set without an end: nobody rings."""

UNSURE = -1


class Granted:
    """
    It has the lock, with that fence, from the moment when the server was asked.
    """

    __slots__ = ("fence", "since")

    def __init__(self, fence: int, since: float) -> None:
        self.fence = fence
        self.since = since


class Refused:
    """
    Somebody else has it. Look again then, if nobody rings before.
    """

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


class Claim:
    """
    `in_doubt` says whether the server may know the token. Moments are of `time.monotonic`.
    """

    def __init__(self, client: RedisClient, terms: Terms) -> None:
        self.in_doubt = False
        self._client = client
        self._terms = terms
        self._token = token_hex(16)
        self._free = f"{terms.key}:free"
        self._budget = client.settings.command_timeout
        self._hasty = client.companion(Shared).hasty
        self._replicas: Replicas = terms.replicas or client.settings.durability

    @property
    def channel(self) -> str:
        """
        Where it is told that the lock is free: all who wait, or only the first in the queue.
        """
        return f"{self._free}:{self._token}" if self._terms.fair else self._free

    async def ask(self, limit: float) -> Granted | Refused:
        """
        Asks for the lock; one round trip, and one more for each change of the group meanwhile. The
        sentinels are asked when the server does not know whether the epoch is its own.

        Raises what the client does, `NotDurableError` with the lock still taken.
        """
        terms, limit = self._terms, max(limit, monotonic() + ANSWERS)
        asked: Any = ""
        while True:
            topology = await confirmed(self._client, limit)
            since = monotonic()
            self.in_doubt = True
            first, *rest = await self._send(limit - since, topology.epoch, asked)
            if first == UNSURE:
                asked = rest[0]
                await ask_sentinels(self._client, limit)
            elif not first:
                self.in_doubt = terms.fair and terms.wait > 0  # it stands in the queue
                return Refused(monotonic() + self._pause(*rest))
            elif self._client.topology is topology and monotonic() < since + terms.lease:
                return Granted(first, since)
            if monotonic() >= limit:
                return Refused(limit)

    async def _send(self, seconds: float, epoch: int, asked: Any) -> Any:
        terms = self._terms
        args: list[Any] = [self._token, terms.lease_ms, str(epoch), asked]
        if terms.fair:
            args += [int(PATIENCE * 1000) if terms.wait else 0, self._free]
        keys = [terms.key, terms.fence_key, terms.released_key(self._token), *terms.queue_keys]
        try:
            return await self._run(ACQUIRE, keys, args, seconds, self._replicas)
        except NotDurableError as error:
            if error.reply is not None and error.reply[0] <= 0:  # refused: nothing to confirm
                return error.reply
            raise

    def _pause(self, pttl: int, ahead: int) -> float:
        # Not all at the same moment, and after the server has dropped the key.
        seconds = NO_END if pttl < 0 else (pttl + 1 + 20 * random()) / 1000
        if self._terms.fair:
            return PATIENCE / 3 if ahead or pttl < 0 else min(seconds, PATIENCE / 3)
        return seconds

    async def renew(self, seconds: float) -> bool:
        """
        Whether it has the lock for another lease; tries for that many seconds.
        """
        terms = self._terms
        args = [self._token, terms.lease_ms]
        return bool(await self._run(RENEW, [terms.key], args, seconds))

    async def withdraw(self, seconds: float) -> bool:
        """
        Whether it had the lock; it has neither that nor a place in the queue afterwards. Tries for
        that many seconds, at most the client's `command_timeout`.
        """
        terms, seconds = self._terms, min(seconds, self._budget)
        keys = [terms.key, terms.released_key(self._token), *terms.queue_keys]
        args = [self._token, int((seconds + ANSWERS) * 1000), self._free]
        return bool(await self._run(RELEASE, keys, args, seconds))

    async def _run(
        self,
        script: LuaScript,
        keys: list[str],
        args: list[Any],
        seconds: float,
        replicas: Replicas = 0,
    ) -> Any:
        # Each may run twice for a token, and does what it does once. The quick way has the client's
        # own budget.
        view: View = self._hasty
        if replicas or seconds + ANSWERS < self._budget:
            view = self._client.with_options(
                retry="always", timeout=max(0.001, min(seconds, self._budget)), durability=replicas
            )
        return await script(view, keys, args)
