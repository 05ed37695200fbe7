"""
A cheap view of a client: the same connections, other options for each call.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast, get_args

from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, WatchError

from sahool_cache import health
from sahool_cache.errors import DeadlineExceededError
from sahool_cache.owner import Owner
from sahool_cache.pinned import PinnedClient
from sahool_cache.pipeline import Pipeline
from sahool_cache.policy.retry import Repeat
from sahool_cache.pubsub import Monitor, PubSub
from sahool_cache.routed_pool import RoutedPool
from sahool_cache.routing.router import ReadFrom
from sahool_cache.scanning import Scanner
from sahool_cache.settings import Durability
from sahool_cache.settings import durability as checked_durability
from sahool_cache.wiring.options import CallOptions

__all__ = ["Script", "View", "positive_seconds"]


class Script(AsyncScript):
    """
    A Lua script that is sent by its digest, and in full to a server that does not know it.
    """

    async def __call__(
        self,
        keys: Sequence[Any] | None = None,
        args: Iterable[Any] | None = None,
        client: Any = None,
    ) -> Any:
        """
        Runs the script; one round trip, two on a server that meets it for the first time.
        """
        client = self.registered_client if client is None else client
        keys, rest = list(keys or ()), list(args or ())
        if isinstance(client, Pipeline):
            client.scripts.add(self)
        try:
            return await client.evalsha(self.sha, len(keys), *keys, *rest)
        except NoScriptError:  # nothing ran; EVAL cannot meet a server that lost it in between
            return await client.eval(cast("Any", self.script), len(keys), *keys, *rest)


class View(Scanner):
    """
    Every command of redis-py, with its own budget, source of reads, repeats and decoding.
    """

    def __init__(
        self, owner: Owner, options: CallOptions, *, default: CallOptions, read_only: bool = False
    ) -> None:
        super().__init__(
            owner,
            options,
            quick=options.timeout == default.timeout
            and options.until is None
            and options.causality is None
            and not options.flipped,
            decode=owner.decode_responses != options.flipped,
            read_only=read_only,
        )
        self._default = default

    @property
    def connection_pool(self) -> Any:
        """
        What redis-py's own classes, such as the pipelines of its modules, take for a pool.
        """
        return RoutedPool(self)

    @property
    def replica(self) -> View:
        """
        Reads from a fit replica, from the master where there is none; refuses every write.
        """
        options = replace(self.options, read_from="replica_preferred")
        return View(self._owner, options, default=self._default, read_only=True)

    @property
    def master(self) -> View:
        """
        Reads from the master.
        """
        options = replace(self.options, read_from="master")
        return View(self._owner, options, default=self._default)

    def with_options(
        self,
        *,
        timeout: float | timedelta | None = None,
        retry: Repeat | None = None,
        read_from: ReadFrom | None = None,
        decode_responses: bool | None = None,
        durability: Durability | None = None,
    ) -> View:
        """
        A view whose calls differ in what is given: `timeout` in seconds for the whole call;
        `retry` is ``never``, ``safe`` (what the command table allows) or ``always`` (you say
        that the commands may run twice); `durability` the replicas that must confirm each write,
        or "all".
        """
        options = self.options
        if timeout is not None:
            options = replace(options, timeout=positive_seconds(timeout))
        if retry is not None:
            options = replace(options, retry=_one_of("retry", retry, get_args(Repeat)))
        if read_from is not None:
            options = replace(
                options, read_from=_one_of("read_from", read_from, get_args(ReadFrom))
            )
        if decode_responses is not None:
            flipped = decode_responses != self._owner.decode_responses
            options = replace(options, flipped=flipped)
        if durability is not None:
            options = replace(options, durability=checked_durability(durability))
        return self._derived(options)

    def _derived(self, options: CallOptions) -> View:
        return View(self._owner, options, default=self._default, read_only=self.read_only)

    async def ping(self, **_: Any) -> bool:
        """
        Whether the master answers within the budget; never raises because Redis is down.
        """
        return await health.ping(await self.ready(), self.options)

    def pipeline(
        self,
        transaction: bool = True,  # redis-py's signature
        shard_hint: str | None = None,
        *,
        use_slave: bool = False,
    ) -> Pipeline:
        """
        Stages commands for one round trip: MULTI/EXEC, or a plain batch. `use_slave` sends a
        batch of reads to a replica, and refuses writes.
        """
        del shard_hint  # redis-py keeps it and does nothing with it, either
        caller = self.replica if use_slave else self
        return Pipeline(caller, transaction=transaction, read_only=caller.read_only)

    async def transaction(
        self,
        func: Callable[[Pipeline], Any | Awaitable[Any]],
        *watches: Any,
        shard_hint: str | None = None,
        value_from_callable: bool = False,
        watch_delay: float | None = None,
    ) -> Any:
        """
        Runs `func(pipe)` while watching these keys, again while another client changes them.

        Raises `WatchError` when that goes on until the budget ends; `OutcomeUnknownError` when
        EXEC was sent and no answer came.
        """
        deadline = self.options.deadline()
        view = self._derived(replace(self.options, until=deadline))
        async with view.pipeline(True, shard_hint) as pipe:  # noqa: FBT003
            while True:
                left = deadline.left
                try:
                    if watches:
                        await pipe.watch(*watches)
                    value = func(pipe)
                    if inspect.isawaitable(value):
                        value = await value
                    replies = await pipe.execute()
                except WatchError as error:
                    if deadline.passed and error.__cause__ is not None:  # it was not the keys
                        raise DeadlineExceededError(
                            f"the budget ended before the transaction was sent ({error})"
                        ) from error
                    if deadline.left <= left - deadline.left:  # one more would take it too far
                        raise
                    await asyncio.sleep(watch_delay or 0)
                else:
                    return value if value_from_callable else replies

    def pubsub(self, **options: Any) -> PubSub:
        """
        redis-py's PubSub on a connection of its own; it follows the master.
        """
        return PubSub(self, **options)

    def monitor(self) -> Monitor:
        """
        redis-py's MONITOR of the current master.
        """
        return Monitor(self)

    def client(self) -> PinnedClient:
        """
        A client on one connection of its own, for commands that change a connection's state.
        """
        return PinnedClient(self._owner, self.options, decode=self._decode)

    def register_script(self, script: Any) -> Script:  # type: ignore[override]
        """
        A callable Lua script that survives a failover to a server that does not know it.
        """
        return Script(cast("Any", self), script)


def positive_seconds(timeout: float | timedelta) -> float:
    """
    The budget in seconds; raises `ValueError` that names it.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ValueError(f"timeout must be a number of seconds, not {timeout!r}")  # noqa: TRY004
    if not 0 < seconds < float("inf"):
        raise ValueError(f"timeout must be more than 0 and finite, not {timeout!r}")
    return float(seconds)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value
