"""
`RateLimiter`: so many requests in so much time, for all processes together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from redis.exceptions import RedisError

from sahool_cache.client import RedisClient
from sahool_cache.recipes.limiting.limit import (
    Limit,
    checked_cost,
    checked_limits,
    checked_seconds,
    whole_number,
)
from sahool_cache.recipes.limiting.outage import OnOutage, Operation, Outage, is_outage
from sahool_cache.recipes.limiting.result import RateLimitResult, Standing
from sahool_cache.recipes.scripts import LuaScript
from sahool_cache.recipes.shared import GivenClient, client_of
from sahool_cache.view import View, positive_seconds

__all__ = ["Algorithm", "RateLimiter"]

Algorithm: TypeAlias = Literal["gcra", "sliding_window", "log"]

MOST_PROCESSES = 1_000_000


class RateLimiter:
    """
    Allows at most `max_requests` in `window` seconds (or a timedelta) for each id, or what all of
    several `limits` allow: ``limits=[Limit(10, 1), Limit(1000, 3600)]`` replaces the two. A call
    that one of them refuses is counted in none.

    - ``gcra``: all at once after a pause, and then evenly, one each window / max_requests; in any
      time t at most max_requests * (1 + t / window). Thirty bytes for each id and limit.
    - ``sliding_window``: a counter for this window, and the last one's in proportion; less than
      twice max_requests in any time of a window's length. Thirty bytes.
    - ``log``: never more than max_requests in any window. Ten bytes for each request in it.

    The server's clock counts, and each call is one round trip to the master. A failover may lose
    what was counted last: what replicas do not have yet is admitted once more.

    While Redis cannot be asked, nothing is raised: `on_outage` says whether calls are allowed,
    denied, or counted in this process (``local``), with every limit divided by the number of
    `processes` that share it, and at most ten thousand ids. The logger ``sahool_cache.recipes``
    says when that begins (WARNING) and ends (INFO). An error reply of the server (no right to the
    key, a key of another type) is raised.

    `timeout` is the budget of each call in seconds, by default the client's `command_timeout`: how
    long a caller may have to wait in an outage. `client` is a client, what gives it at each call,
    or by default `get_redis_client`. A limiter may be made at import, and shared by all tasks.

    Keys are ``<prefix>:<algorithm>:<max_requests>/<window in microseconds>:<id>``, and expire with
    what they say. Limiters that differ in any of these share nothing. The contract for other
    languages stands at the top of ``recipes/lua/<algorithm>.lua``.

    Raises `TypeError` or `ValueError` that names the argument. Ids are non-empty strings.
    """

    def __init__(  # noqa: PLR0913  # a word for each thing that limiters differ in
        self,
        max_requests: int = 100,
        window: float | timedelta = 60,
        algorithm: Algorithm = "gcra",
        *,
        limits: Iterable[Limit] | None = None,
        prefix: str = "rate_limit",
        on_outage: OnOutage = "allow",
        processes: int = 1,
        timeout: float | timedelta | None = None,
        client: GivenClient = None,
    ) -> None:
        if limits is None:
            limits = (Limit(max_requests, window),)
        self.limits = checked_limits(limits)
        self.algorithm = algorithm
        _one_of("algorithm", algorithm, get_args(Algorithm))
        _one_of("on_outage", on_outage, get_args(OnOutage))
        whole_number("processes", processes, at_most=MOST_PROCESSES)
        if not (client is None or isinstance(client, RedisClient) or callable(client)):
            raise TypeError(f"client must be a RedisClient or what gives one, not {client!r}")
        self._timeout = None if timeout is None else positive_seconds(timeout)
        self._outage = Outage(
            self.limits, on_outage, processes, name=_checked_prefix(prefix), now=monotonic
        )
        self._script = _script(algorithm)
        terms = [(limit.max_requests, limit.microseconds) for limit in self.limits]
        self._starts = [f"{prefix}:{algorithm}:{most}/{window}:" for most, window in terms]
        self._terms = [str(number) for pair in terms for number in pair]
        self._client = client
        self._views: _Views | None = None

    async def is_allowed(self, identifier: str) -> bool:
        """
        Whether this call may go on; counts it if so.
        """
        return (await self.acquire(identifier)).allowed

    async def acquire(self, identifier: str, cost: int = 1) -> RateLimitResult:
        """
        Whether a call that counts as `cost` requests may go on; counts it if so. One round trip.

        It is sent again when its reply is lost: then it may have been counted twice, and never is
        more admitted. Raises `ValueError` for a cost that no quota can ever allow.
        """
        return await self._ask("take", identifier, checked_cost(cost, self.limits))

    async def peek(self, identifier: str) -> RateLimitResult:
        """
        How the id stands, and whether a call would be allowed; counts nothing. One round trip.
        """
        return await self._ask("peek", identifier, 1)

    async def refund(self, identifier: str, cost: int = 1) -> RateLimitResult:
        """
        Gives back what was taken last, for a call that came to nothing; never more than the full
        quota. How the id stands then, and whether a call of the same cost would be allowed. One
        round trip.

        It is never sent twice, which would admit more: when the outcome is not known, it may not
        have been given back.
        """
        return await self._ask("refund", identifier, checked_cost(cost, self.limits))

    async def reset(self, identifier: str) -> None:
        """
        Gives the id its full quota. One round trip.
        """
        keys = self._keys(identifier)
        self._outage.local.forget(identifier)
        try:
            await self._views_now().plain.delete(*keys)
        except RedisError as error:
            if not is_outage(error):
                raise
            self._outage.failed(error)

    async def wait(
        self, identifier: str, cost: int = 1, *, max_wait: float | timedelta | None = None
    ) -> RateLimitResult:
        """
        Acquires, and waits for that up to `max_wait` seconds, by default the longest window.

        Sleeps for `retry_after` and asks again, as often as others are quicker. Returns the refusal
        at once when it would have to wait for longer than is left.
        """
        if max_wait is None:
            seconds = max(limit.window for limit in self.limits)
        else:
            seconds = checked_seconds("max_wait", max_wait)
        ends = monotonic() + seconds
        while True:
            result = await self.acquire(identifier, cost)
            if result or monotonic() + result.retry_after > ends:
                return result
            await asyncio.sleep(result.retry_after)

    async def _ask(self, do: Operation, identifier: str, cost: int) -> RateLimitResult:
        keys = self._keys(identifier)
        views = self._views_now()
        view = views.plain if do == "refund" else views.repeating
        try:
            reply: list[Any] = await self._script(view, keys, [do, cost, *self._terms])
        except RedisError as error:
            if not is_outage(error):
                raise
            self._outage.failed(error)
            return self._outage.answer(do, identifier, cost, error)
        if self._outage.goes_on:
            self._outage.served()
        standings = [Standing(*reply[at : at + 3]) for at in range(1, len(reply), 3)]
        return RateLimitResult.of(self.limits, standings, allowed=reply[0] == 1)

    def _keys(self, identifier: str) -> list[str]:
        if not isinstance(identifier, str):
            raise TypeError(f"identifier must be a str, not {identifier!r}")
        if not identifier:
            raise ValueError("identifier must not be empty")
        return [start + identifier for start in self._starts]

    def _views_now(self) -> _Views:
        client, views = client_of(self._client), self._views
        if views is None or views.client is not client:
            views = self._views = _Views(
                client=client,
                plain=client.with_options(timeout=self._timeout, durability=0),
                repeating=client.with_options(timeout=self._timeout, durability=0, retry="always"),
            )
        return views


class _Views(NamedTuple):
    """
    How calls are made: none waits for replicas, and those that may run twice are sent again.
    """

    client: RedisClient
    plain: View
    repeating: View


@cache
def _script(algorithm: Algorithm) -> LuaScript:
    return LuaScript(algorithm)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _checked_prefix(prefix: str) -> str:
    """
    A prefix that makes keys in which it ends before the only slash: so that no two are the same.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a str, not {prefix!r}")
    if not prefix or "/" in prefix:
        raise ValueError(f"prefix must not be empty or contain '/', not {prefix!r}")
    return prefix
