"""
Several commands in one round trip: plain batches, MULTI/EXEC, and WATCH on a connection of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isawaitable
from typing import Any, cast

from redis.asyncio.client import Pipeline as RedisPipeline
from redis.client import EMPTY_RESPONSE
from redis.exceptions import ResponseError, WatchError

from sahool_cache.caller import PLAIN, SHAPED, Caller
from sahool_cache.commands import Spec
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost, judge
from sahool_cache.connection.packing import pack
from sahool_cache.connection.request import Batch, Single
from sahool_cache.errors import (
    OutcomeUnknownError,
    ReadOnlyViewError,
    UnavailableError,
    Verdict,
)
from sahool_cache.policy.deadline import Deadline
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
from sahool_cache.wiring.chain import Chain

__all__ = ["Pipeline"]


class Pipeline(QuickSet, RedisPipeline):  # type: ignore[misc]  # redis-py's two disagree
    """
    redis-py's pipeline, sent over our lanes.

    Without WATCH the whole of it shares a lane and costs one round trip. It is repeated as one
    call, and only if every command in it may be.
    """

    command_stack: Any  # of `Staged`, which begin like redis-py's

    def __init__(self, caller: Caller, *, transaction: bool, read_only: bool) -> None:
        # redis-py's own __init__ does no more than this, with a pool in place of the caller.
        self._caller = caller
        self._read_only = read_only
        self._borrowed: Borrowed | None = None
        self.connection_pool = cast("Any", RoutedPool(caller))
        self.connection = None
        self.response_callbacks = cast("Any", caller.response_callbacks)
        self.is_transaction = transaction
        self.shard_hint = None
        self.watching = False
        self.command_stack = []
        self._special = False
        self.scripts: set[Any] = set()
        self.explicit_transaction = False

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

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """
        Stages a command and returns the pipeline; between WATCH and `multi()` the awaitable reply.
        """
        plain = PLAIN.get(args[0]) if args and args[0].__class__ is str else None
        if plain is not None and not (options or self.watching or self._read_only):
            self.command_stack.append((args, options, plain, args))
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
        self.command_stack.append(staged)
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
        self.command_stack = []
        self._special = False
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
                reply = await self._watched(chain, request, deadline)
            else:
                reply = await chain.retry.run(
                    request, lambda r, d: self._ask(chain, r, d), deadline, "always"
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

    async def _ask(self, chain: Chain, request: Single | Batch, deadline: Deadline) -> Any:
        if self._borrowed is None:
            self._borrowed = await chain.servers.borrow(False, "master", deadline)  # noqa: FBT003
        try:
            return await deadline.wait(request.submit(self._borrowed.lane), _no_reply)
        except (LaneLost, Expired, ConnectionError):
            borrowed, self._borrowed = self._borrowed, None
            borrowed.cut("a command on it failed")
            raise

    async def _watched(self, chain: Chain, request: Single | Batch, deadline: Deadline) -> Any:
        options, sent_to = self._caller.options, chain.fleet.topology
        try:
            reply = request.checked(await self._ask(chain, request, deadline))
        except BaseException:
            if options.causality is not None and request.writes:  # it may have run
                options.causality.wrote(chain.fleet.topology, None)
            raise
        finally:
            chain.wrote(request)
        if (borrowed := self._borrowed) is not None:
            await chain.attempts.after_write(borrowed, request, options, sent_to, reply, deadline)
        return reply

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """
        The replies to all staged commands, in order; one round trip.

        Raises the first error reply, unless `raise_on_error` is False; `WatchError` when a
        watched key changed or its connection was lost; otherwise like any call.
        """
        if not self.command_stack and not self.watching:
            return []
        try:
            chain = await self._caller.ready()
            stack = self.command_stack
            if self.is_transaction or self.explicit_transaction:
                replies = await self._execute_as_transaction(chain, stack)
            else:
                replies = await self._execute_asbatch(chain, stack)
            if raise_on_error and any_error(replies):
                self.raise_first_error(cast("Any", stack), replies)
            return await self._shape(replies, stack)
        finally:
            await self.reset()

    async def _shape(self, replies: list[Any], stack: Sequence[Staged]) -> list[Any]:
        shape = self._caller.shape
        shaped = [
            reply if isinstance(reply, Exception) else shape(args[0], reply, options)
            for reply, (args, options, _, _) in zip(replies, stack, strict=True)
        ]
        if SHAPED.issuperset(map(type, shaped)):
            return shaped
        return [await each if isawaitable(each) else each for each in shaped]

    async def _execute_asbatch(self, chain: Chain, stack: list[Staged]) -> list[Any]:
        call = self._caller.options
        times = waits(stack) if self._special else []
        deadline = call.deadline(waits=0 if 0 in times else sum(times) or None)
        replies: list[Any] = []
        refusal: Exception | None = None
        refused: list[Any] = []
        while True:
            rest = stack[len(replies) :]
            loads = self._loads() if not replies else []
            request = batch(rest, loads, self._flips(rest, len(loads)), needs_own=bool(times))
            try:
                got = await chain.send(request, call, deadline=deadline, fault=refusal)
            except UnavailableError:
                if not replies:
                    raise
                # The first part ran: its replies count, and the others were refused.
                return replies + with_empty(refused, rest)
            got = got[len(loads) :]
            # What a demoted or loading server did not run may be sent again from there on,
            # if nothing behind it ran that must not run twice: the order stays the caller's.
            first = first_not_run(got, rest) if call.retry != "never" else None
            if first is None or deadline.passed:
                return replies + with_empty(got, rest)
            replies += with_empty(got[:first], rest[:first])
            refusal, refused = got[first], got[first:]

    async def _execute_as_transaction(self, chain: Chain, stack: list[Staged]) -> list[Any]:
        sent = [staged for staged in stack if EMPTY_RESPONSE not in staged[1]]
        loads = self._loads()
        call = self._caller.options
        request = transaction(sent, loads, flipped=call.flipped)
        if self.watching:
            replies = await self._execute_watched(chain, request)
        else:
            replies = await chain.send(request, call)
        self.watching = False
        return merged(replies[len(loads) :], stack, self.annotate_exception)

    async def _execute_watched(self, chain: Chain, batch: Batch) -> list[Any]:
        fleet = chain.fleet
        if self._borrowed is None:
            raise WatchError("the connection that watched was lost")
        if fleet.watcher.fenced or self._borrowed.node != fleet.topology.master:
            raise WatchError("the master that watched is about to be replaced")
        try:
            replies: list[Any] = await self._watched(chain, batch, self._caller.options.deadline())
            return replies
        except (LaneLost, Expired) as fault:
            if isinstance(fault, LaneLost) and not fault.sent:
                raise WatchError(f"the connection that watched was lost ({fault})") from fault
            raise OutcomeUnknownError(
                f"{batch.name} was sent and no answer came ({fault}): it may or may not have run",
                command=batch.name,
            ) from fault
        except Exception as refusal:
            if judge(refusal) is Verdict.NOTHING_RAN:
                raise WatchError(f"the server did not run it ({refusal})") from refusal
            raise

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
        borrowed, self._borrowed = self._borrowed, None
        watching, self.watching = self.watching, False
        self.command_stack = []
        self._special = False
        self.scripts = set()
        self.explicit_transaction = False
        if borrowed is None:
            return
        if watching and borrowed.usable:
            borrowed.give_back_after(pack((b"UNWATCH",)), within=1.0)
        else:
            borrowed.give_back()


def _no_reply() -> Exception:
    return Expired("no reply within the budget")
