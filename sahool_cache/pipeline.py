"""
Several commands in one round trip: plain batches, MULTI/EXEC, and WATCH on a connection of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio.client import Pipeline as RedisPipeline
from redis.client import EMPTY_RESPONSE
from redis.commands import AsyncCoreCommands
from redis.exceptions import ResponseError, WatchError

from sahool_cache.caller import PLAIN, SHAPED, Caller
from sahool_cache.commands import SPECS, Spec
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost
from sahool_cache.connection.request import Single
from sahool_cache.errors import ReadOnlyViewError, UnavailableError
from sahool_cache.quick_set import QuickSet
from sahool_cache.routed_pool import RoutedPool
from sahool_cache.staged import (
    Staged,
    any_error,
    batch,
    first_not_run,
    merged,
    needs_own,
    stage,
    transaction,
    waits,
    with_empty,
)
from sahool_cache.watching import Watching
from sahool_cache.wiring.chain import Chain

__all__ = ["Pipeline"]

_SET = SPECS["SET"]
_NO_OPTIONS: dict[str, Any] = {}


class Pipeline(QuickSet, RedisPipeline):  # type: ignore[misc]  # redis-py's two disagree
    """
    redis-py's pipeline, sent over our lanes.

    Without WATCH the whole of it shares a lane and costs one round trip. It is repeated as one
    call, and only if every command in it may be.
    """

    _depth = 4

    def __init__(self, caller: Caller, *, transaction: bool, read_only: bool) -> None:
        # redis-py's own __init__ does no more than this, with a pool in place of the caller.
        self._caller = caller
        self._read_only = read_only
        self._watching = Watching(caller)
        self.connection_pool = cast("Any", RoutedPool(caller))
        self.connection = None
        self.response_callbacks = cast("Any", caller.response_callbacks)
        self.is_transaction = transaction
        self.shard_hint = None
        self.watching = False
        self._staged: list[Any] = []  # of `Staged`, or the arguments alone if they are all of SETs
        self._special, self._only_sets = False, True
        self.scripts: set[Any] = set()
        self.explicit_transaction = False

    if not TYPE_CHECKING:

        @property
        def command_stack(self) -> list[Any]:
            """
            What is staged, each with its arguments and options first, as redis-py has it.
            """
            self._spread()
            return self._staged

    def __len__(self) -> int:
        return len(self._staged)

    def _spread(self) -> None:
        """
        Makes of bare SETs what the other commands are staged as. A bulk load does without: each
        object that is kept brings the garbage collector's next turn nearer.
        """
        if self._only_sets:
            self._only_sets = False
            self._staged = [(args, _NO_OPTIONS, _SET, args) for args in self._staged]

    def get_encoder(self) -> Any:
        """
        The caller's encoder.
        """
        return self._caller.get_encoder()

    def get_connection_kwargs(self) -> dict[str, Any]:
        """
        What redis-py's own classes ask about connections.
        """
        return self._caller.get_connection_kwargs()

    if not TYPE_CHECKING:  # redis-py's overloads stay in sight

        @wraps(AsyncCoreCommands.set)
        def set(self, name: Any, value: Any, *rest: Any, **options: Any) -> Any:  # noqa: D102
            # The plainest form without a detour, for bulk loads.
            if (
                not (rest or options or self.watching or self._read_only)
                and (name.__class__ is str and name.isascii())  # such are certain to be sent
                and (value.__class__ is bytes or (value.__class__ is str and value.isascii()))
            ):
                args = ("SET", name, value)
                if self._only_sets:
                    self._staged.append(args)
                else:
                    self._staged.append((args, _NO_OPTIONS, _SET, args))
                return self
            return super().set(name, value, *rest, **options)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """
        Stages a command and returns the pipeline; between WATCH and `multi()` the awaitable reply.
        """
        if self._only_sets:
            self._spread()
        if not (options or self.watching or self._read_only) and args:
            plain = PLAIN.get(args[0]) if args[0].__class__ is str else None
            if plain is not None:
                self._staged.append((args, options, plain, args))
                return self
        self._special = True
        staged = stage(args, options)
        spec = staged[2]
        if (self.watching or spec.name == "WATCH") and not self.explicit_transaction:
            if spec.own is not None and spec.name not in ("WATCH", "UNWATCH"):
                raise needs_own(spec)
            self._check_view(spec)
            return self.immediate_execute_command(*args, **options)
        if spec.own is not None:
            raise needs_own(spec)
        self._check_view(spec)
        self._staged.append(staged)
        return self

    def _check_view(self, spec: Spec) -> None:
        if self._read_only and not spec.reads and spec.name not in ("WATCH", "UNWATCH"):
            raise ReadOnlyViewError(
                f"{spec.name} is no read that a replica may serve, and this pipeline only reads"
            )

    async def discard(self) -> None:
        """
        Forgets the staged commands; nothing is sent.
        """
        self._staged = []
        self._special, self._only_sets = False, True
        self.explicit_transaction = False

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """
        The reply to a command that is sent at once, on the connection that watches.

        Raises `WatchError` when that connection is lost: the watch is gone, start again.
        """
        chain = await self._caller.ready()
        request = Single(args, flipped=self._caller.flips(options))
        deadline = self._caller.options.deadline()
        try:
            if self.watching:
                reply = await self._watching.send(chain, request, deadline)
            else:
                reply = await chain.retry.run(
                    request, lambda r, d: self._watching.ask(chain, r, d), deadline, "always"
                )
        except (LaneLost, Expired, DialFailed, ConnectionError) as fault:
            await self.reset()
            raise WatchError(f"the connection that watched was lost ({fault})") from fault
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        self.watching = request.name != "UNWATCH" and (self.watching or request.name == "WATCH")
        reply = self._caller.shape(args[0], reply, options)
        return await reply if isawaitable(reply) else reply

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """
        The replies to all staged commands, in order; one round trip.

        Raises the first error reply, unless `raise_on_error` is False; `WatchError` when a
        watched key changed or its connection was lost; otherwise like any call.
        """
        if not self._staged and not self.watching:
            return []
        try:
            chain = await self._caller.ready()
            if self.is_transaction or self.explicit_transaction:
                replies = await self._execute_as_transaction(chain)
            else:
                replies = await self._execute_asbatch(chain)
            if self._only_sets and self._caller.shapes_ok(replies):  # a bulk load, as a rule
                return [True] * len(replies)
            self._spread()
            if raise_on_error:
                self.raise_first_error(cast("Any", self._staged), replies)
            return await self._shape(replies, self._staged)
        finally:
            await self.reset()

    async def _shape(self, replies: list[Any], stack: Sequence[Staged]) -> list[Any]:
        shape = self._caller.shape
        shaped = [
            reply if isinstance(reply, Exception) else shape(args[0], reply, options)
            for reply, (args, options, _, _) in zip(replies, stack, strict=True)
        ]
        usual = SHAPED.issuperset(map(type, shaped))
        return shaped if usual else [await e if isawaitable(e) else e for e in shaped]

    async def _execute_asbatch(self, chain: Chain) -> list[Any]:
        call = self._caller.options
        times = waits(self._staged) if self._special else []
        deadline = call.deadline(waits=0 if 0 in times else sum(times) or None)
        replies: list[Any] = []
        refusal: Exception | None = None
        refused: list[Any] = []
        got: list[Any]
        while True:
            rest = self._staged[len(replies) :]
            loads = self._loads() if not replies else []
            request = batch(
                rest,
                loads,
                self._flips(rest, len(loads)),
                needs_own=bool(times),
                sure=self._only_sets,
            )
            try:
                got = await chain.send(request, call, deadline=deadline, fault=refusal)
            except UnavailableError:
                if not replies:
                    raise
                # The first part ran: its replies count, and the others were refused.
                return replies + with_empty(refused, rest)
            got = got[len(loads) :]
            if not any_error(got):
                return replies + got
            self._spread()
            rest = self._staged[len(replies) :]
            # What a demoted or loading server did not run may be sent again from there on,
            # if nothing behind it ran that must not run twice: the order stays the caller's.
            first = first_not_run(got, rest) if call.retry != "never" else None
            if first is None or deadline.passed:
                return replies + with_empty(got, rest)
            replies += with_empty(got[:first], rest[:first])
            refusal, refused = got[first], got[first:]

    async def _execute_as_transaction(self, chain: Chain) -> list[Any]:
        sent = self._staged
        if not self._only_sets:
            sent = [staged for staged in sent if EMPTY_RESPONSE not in staged[1]]
        loads = self._loads()
        call = self._caller.options
        request = transaction(sent, loads, flipped=call.flipped, sure=self._only_sets)
        if self.watching:
            replies = await self._watching.execute(chain, request)
        else:
            replies = await chain.send(request, call)
        self.watching = False
        self._spread()
        return merged(replies[len(loads) :], self._staged, self.annotate_exception)

    def _loads(self) -> list[tuple[Any, ...]]:
        # Sent along each time: a fresh master knows no script, and asking costs a round trip.
        return [("SCRIPT", "LOAD", script.script) for script in self.scripts]

    def _flips(self, stack: list[Staged], offset: int) -> frozenset[int]:
        if not (self._special or self._caller.options.flipped):
            return frozenset()
        flips = self._caller.flips
        return frozenset(place for place, each in enumerate(stack, offset) if flips(each[1]))

    async def load_scripts(self) -> None:
        """
        Nothing to do: `execute` sends the scripts along.
        """

    async def reset(self) -> None:  # type: ignore[override]
        """
        Forgets what was staged, and hands the watching connection back.
        """
        watching, self.watching = self.watching, False
        self._staged = []
        self._special, self._only_sets = False, True
        self.scripts = set()
        self.explicit_transaction = False
        self._watching.end(watches=watching)
