"""
redis-py's async command methods, all of them over one `execute_command`.
"""

from __future__ import annotations

import inspect
from _thread import get_ident
from asyncio import Future
from dataclasses import replace
from typing import Any, cast

from redis._parsers.encoders import Encoder
from redis._parsers.helpers import parse_set_result
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.commands import AsyncRedisModuleCommands
from redis.exceptions import ResponseError

from sahool_cache.commands import SPECS, Spec, lookup
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.packing import ArgumentEncoder, pack, pack_plain
from sahool_cache.connection.request import Blocking, Confirmation, Single
from sahool_cache.errors import NeedsOwnConnectionError, ReadOnlyViewError
from sahool_cache.near_cache import CACHED, ELSEWHERE
from sahool_cache.owner import Callback, Owner
from sahool_cache.policy.deadline import Deadline
from sahool_cache.quick_set import QuickSet
from sahool_cache.replica_reads import ReplicaReads
from sahool_cache.wiring.chain import Chain
from sahool_cache.wiring.options import CallOptions

__all__ = ["PLAIN", "SHAPED", "Caller"]

TEXT, _OK = frozenset({bytes, str}), frozenset({"OK", b"OK"})
"""What hiredis packs as it is, whatever its value; and what a SET that has set replies."""

SPECIAL = frozenset({EMPTY_RESPONSE, NEVER_DECODE})
"""redis-py's own options that say how a reply is read, not how it is shaped."""

PLAIN = {name: spec for name, spec in SPECS.items() if spec.plain}
"""Commands that a lane takes as they are."""

SHAPED = frozenset({bool, bytes, dict, float, int, list, set, str, tuple, type(None)})
"""What redis-py's callbacks give; asking whether something is awaitable takes longer than this."""


class Caller(QuickSet, ReplicaReads, AsyncRedisModuleCommands):  # type: ignore[misc]  # redis-py's two disagree
    """
    Every command method of redis-py, with one set of options for its calls.
    """

    _event_dispatcher: Any = None  # redis-py's mixins name it; nothing here uses it

    def __init__(
        self,
        owner: Owner,
        options: CallOptions,
        *,
        quick: bool,
        decode: bool,
        read_only: bool = False,
    ) -> None:
        self._owner = owner
        self.options = options
        self._quick = quick
        self._decode = decode
        self._writes_quick = options.durability == 0 and not read_only
        self._durable = options.durability != 0 and not read_only
        self._reads_elsewhere = options.read_from != "master"
        self.read_only = read_only
        self._reads_direct = quick and not self._reads_elsewhere
        self._reads_spread = quick and options.read_from in ("replica", "replica_preferred")
        self.response_callbacks: dict[str, Callback] = owner.response_callbacks

    async def get(self, name: Any, *, use_slave: bool = False) -> bytes | str | None:
        """
        The value at key `name`, or None; one round trip.
        """
        # The quick way of `execute_command`, written out for the commonest command of all.
        near = self._owner.near_cache
        if near is not None and self._reads_direct and not use_slave:
            entry = near.entries.get(name) if name.__class__ is str else None
            if entry is not None and "GET" not in self.response_callbacks:
                now = near.now()
                if now < entry.expires and now < entry.shelf.trusted:
                    near.hits += 1
                    entry.used = True
                    held: bytes | str | None = entry.reply
                    return held
        chain, lane = self._owner.chain, None
        if chain is not None and near is None and not use_slave and name.__class__ in TEXT:
            fleet = chain.fleet
            if self._reads_direct:
                lane = fleet.hot
            elif self._reads_spread:
                lane = fleet.turn.reader
                if lane is None or not lane.gathering or len(lane.due) >= fleet.turn.limit:
                    lane = fleet.turn.next()
        if (
            chain is None
            or lane is None
            or get_ident() != chain.thread
            or not (lane.gathering or chain.here())
        ):
            return await super().get(name, use_slave=use_slave)
        try:
            packed = pack_plain(("GET", name))
        except UnicodeEncodeError:
            packed = pack(("GET", name))  # says what is wrong with it
        future = lane.submit(packed)
        started = lane.spoke_at
        try:
            reply = await future
        except Exception:  # noqa: BLE001  # judged there
            reply = await self._again(chain, lane, ("GET", name), future, started)
        else:
            if lane.heard_at - started > chain.slow_threshold:
                chain.told("GET", lane.heard_at - started)
        if "GET" in self.response_callbacks:
            reply = self.shape("GET", reply, {})
            if inspect.isawaitable(reply):
                reply = await reply
        return reply

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """
        The reply to any command, shaped as redis-py does; one round trip.

        Raises the server's error reply as redis-py's exception, `UnavailableError` when nothing
        was changed, `OutcomeUnknownError` when that is not known, `UsageError` before sending.
        """
        # The quick way: no queue, no timer, no task. Whatever is unusual takes the other.
        name: Any = args[0] if args else None
        spec = PLAIN.get(name) if name.__class__ is str else None
        chain, near = self._owner.chain, self._owner.near_cache
        kept = near is not None and spec is not None and name in CACHED
        if spec is None or chain is None or kept or not self._quick:
            return await self._execute(args, options)
        if spec.reads and self._reads_elsewhere:
            turn = chain.fleet.turn
            lane = turn.reader if self._reads_spread else None
            if lane is not None and not (lane.gathering and len(lane.due) < turn.limit):
                lane = turn.next()
        elif spec.reads or self._writes_quick:
            lane = chain.fleet.hot
        elif self._durable and spec.writes and not options and chain.here():
            return await self._commit(chain, name, args)
        else:
            lane = None
        if lane is None or get_ident() != chain.thread or not (lane.gathering or chain.here()):
            return await self._execute(args, options)
        if options and (EMPTY_RESPONSE in options or NEVER_DECODE in options):
            return await self._execute(args, options)
        future = lane.submit(pack(args))
        started = lane.spoke_at
        try:
            reply = await future
        except Exception:  # noqa: BLE001  # judged there
            reply = await self._again(chain, lane, args, future, started)
        else:
            if lane.heard_at - started > chain.slow_threshold:
                chain.told(name, lane.heard_at - started)
        if near is not None and spec.writes:
            near.wrote((args,))
        if name in self.response_callbacks:
            reply = self.shape(name, reply, options)
            if reply.__class__ not in SHAPED and inspect.isawaitable(reply):
                reply = await reply
        return reply

    async def _commit(self, chain: Chain, name: str, args: tuple[Any, ...]) -> Any:
        """
        The reply to a durable write, by its quick way.
        """
        started = chain.now()
        reply = self.shape(name, await chain.commit(Single(args), self.options), {})
        if chain.now() - started > chain.slow_threshold:
            chain.told(name, chain.now() - started)
        return await reply if inspect.isawaitable(reply) else reply

    async def _again(
        self, chain: Chain, lane: Lane, args: tuple[Any, ...], future: Future[Any], started: float
    ) -> Any:
        """
        The reply after a first attempt that failed.
        """
        if not chain.here():  # the tick that gathered it is one of a loop that stands still
            lane.take_back(future)
            return await (await self.ready()).send(Single(args), self.options)
        deadline, fault = self.options.deadline(since=started), cast("Any", future.exception())
        reply = await chain.send(Single(args), self.options, deadline=deadline, fault=fault)
        if chain.now() - started > chain.slow_threshold:
            chain.told(args[0], chain.now() - started, deadline.waited)
        return reply

    async def _execute(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        spec, canonical = lookup(args)
        if spec.own is not None:
            raise NeedsOwnConnectionError(
                f"{spec.name} changes the state of its connection, and connections are shared: "
                f"{spec.own}"
            )
        if self.read_only and not spec.reads:
            raise ReadOnlyViewError(
                f"{spec.name} is no read that a replica may serve, and this view only reads"
            )
        chain = await self.ready()
        started = chain.now()
        seconds = spec.wait(canonical[len(spec.words) :]) if spec.wait is not None else None
        deadline = self.options.deadline(waits=seconds)
        reply = await self._held(spec, canonical, options, deadline)
        if reply is ELSEWHERE:
            try:
                reply = await self._ask(chain, args, options, seconds, deadline)
            except ResponseError:
                if EMPTY_RESPONSE in options:
                    return options[EMPTY_RESPONSE]
                raise
        took = chain.now() - started - (seconds or 0.0)
        if took > chain.slow_threshold and seconds != 0:
            chain.told(spec.name, took, deadline.waited)
        reply = self.shape(args[0], reply, options)
        return await reply if inspect.isawaitable(reply) else reply

    async def _ask(
        self,
        chain: Chain,
        args: tuple[Any, ...],
        options: dict[str, Any],
        seconds: float | None,
        deadline: Deadline,
    ) -> Any:
        call, flipped = self.options, self.flips(options)
        if seconds is None:
            return await chain.send(Single(args, flipped=flipped), call, deadline=deadline)
        if not seconds:  # waits without end, so it follows the master wherever it goes
            call = replace(call, retry="always")
        kind = Confirmation if lookup(args)[0].name in ("WAIT", "WAITAOF") else Blocking
        request = kind(args, seconds, flipped=flipped)
        return await chain.send(request, call, deadline=deadline)

    async def _held(
        self, spec: Spec, args: tuple[Any, ...], options: dict[str, Any], deadline: Deadline
    ) -> Any:
        """
        The reply out of the near cache, or `ELSEWHERE`.
        """
        near = self._owner.near_cache
        if near is None or spec.name not in CACHED or self.options.bound or self.flips(options):
            return ELSEWHERE
        return await near.read((spec.name, *args[1:]), self.options.read_from, deadline)

    def shape(self, name: Any, reply: Any, options: dict[str, Any]) -> Any:
        """
        The reply as redis-py's callback for the command shapes it; an awaitable where a callback
        of the user's own is a coroutine function.
        """
        callbacks = self.response_callbacks
        callback = callbacks.get(name) if name.__class__ is str else None
        if callback is None:
            callback = callbacks.get(name.upper()) if isinstance(name, str) else None
            if callback is None:
                return reply
        elif callback is parse_set_result and reply and not options and reply.__class__ in TEXT:
            return reply in _OK  # what the callback comes to, in a third of the time
        if options:
            options = {k: v for k, v in options.items() if k != "keys" and k not in SPECIAL}
        return callback(reply, **options)

    def shapes_ok(self, replies: list[Any]) -> bool:
        """
        Whether these are replies to SET that all come to True.
        """
        usual = self.response_callbacks.get("SET") is parse_set_result
        return usual and _OK.issuperset(replies)

    async def ready(self) -> Chain:
        """
        The running machinery, started if need be.
        """
        return await self._owner.ready()

    def flips(self, options: dict[str, Any]) -> bool:
        """
        Whether the reply is to be decoded otherwise than the connections do.
        """
        return self.options.flipped != (NEVER_DECODE in options and self._decode)

    def get_encoder(self) -> Encoder:
        """
        redis-py's encoder with this caller's way of decoding.
        """
        return ArgumentEncoder("utf-8", "strict", self._decode)

    def get_connection_kwargs(self) -> dict[str, Any]:
        """
        What redis-py's own classes ask about connections.
        """
        return {"decode_responses": self._decode}

    def set_response_callback(self, command: str, callback: Callback) -> None:
        """
        Shapes the replies of that command from now on, for the client and all its views.
        """
        self.response_callbacks[command.upper()] = callback
