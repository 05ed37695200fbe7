"""
One attempt of a call: over a lane, on a connection of its own, or as a durable write.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from redis.exceptions import ResponseError

from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.commit import Commit, confirm
from sahool_cache.connection.faults import DialFailed, Expired, LaneLost
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.packing import pack
from sahool_cache.connection.request import Batch, Blocking, Confirmation, Single
from sahool_cache.errors import DeadlineExceededError, NoReplicaError
from sahool_cache.policy.deadline import Deadline
from sahool_cache.recorder import Recorder
from sahool_cache.routing.router import ReadFrom
from sahool_cache.routing.topology import Topology
from sahool_cache.wiring.causality import Causality
from sahool_cache.wiring.durability import REPLACED, doubt_of, not_durable, note_refusal
from sahool_cache.wiring.fleet import Fleet
from sahool_cache.wiring.options import CallOptions
from sahool_cache.wiring.reasons import check_crowd
from sahool_cache.wiring.servers import Servers

__all__ = ["Attempts"]

_ROLE = pack((b"ROLE",))


class Attempts:
    """
    Makes attempts; each raises what went wrong with it, for `Retry` to judge.
    """

    def __init__(self, fleet: Fleet, servers: Servers, recorder: Recorder) -> None:
        self._fleet = fleet
        self._servers = servers
        self._recorder = recorder

    async def make(self, request: Single | Batch, options: CallOptions, deadline: Deadline) -> Any:
        """
        The reply to one attempt. What goes wrong tells its `node`.
        """
        causality, sent_to = options.causality, self._fleet.topology.master
        try:
            if causality is not None:
                await self._until_known(causality, deadline)
            return await self._make(request, options, deadline)
        except BaseException as fault:
            if causality is not None and request.writes:
                # In doubt, not durable, cancelled, a script's error: it may have run all the same.
                causality.wrote(self._fleet.topology, None)
            if isinstance(fault, LaneLost | Expired) and not request.reads:
                fault.node = str(sent_to)
            raise

    async def _make(self, request: Single | Batch, options: CallOptions, deadline: Deadline) -> Any:
        if options.durability and request.writes:
            return await self._make_durable(request, options, deadline)
        if request.needs_own:
            return await self._make_alone(request, options, deadline)
        read_from = options.scanned if request.cursor else options.read_from
        lane = await self._lane(request, read_from, deadline)
        check_crowd((lane,), deadline)
        causality = options.causality
        if causality is None:
            return request.checked(await deadline.wait(request.submit(lane), _no_reply))
        if request.reads:
            return await self._read_after(causality, request, options, deadline, lane)
        return await self._write_in(causality, request, deadline, lane)

    async def _lane(self, request: Single | Batch, read_from: ReadFrom, deadline: Deadline) -> Lane:
        began = self._fleet.now()
        try:
            return await self._servers.lane(
                request.reads, read_from, deadline, steady=request.cursor
            )
        finally:
            waited = self._fleet.now() - began
            if waited > 0.001:
                deadline.waited += waited
                self._recorder.waited(request.name, waited)

    async def _make_alone(
        self, request: Single | Batch, options: CallOptions, deadline: Deadline
    ) -> Any:
        borrowed = await self._servers.borrow(
            request.reads, options.scanned, deadline, urgent=request.urgent
        )
        topology = self._fleet.topology
        try:
            if isinstance(request, Blocking) and deadline.left < (request.left or math.inf):
                # Begun now, it would end in doubt.
                raise DeadlineExceededError(
                    f"{request.name} would wait for longer than what is left of the budget"
                )
            reply = await deadline.wait(request.submit(borrowed.lane), _no_reply)
            checked = request.checked(reply)
            await self.after_write(borrowed, request, options, topology, checked, deadline)
        except asyncio.CancelledError:
            self._fleet.unblock(borrowed)
            raise
        except ResponseError as refusal:
            if borrowed.connection.evicted and str(refusal).startswith("UNBLOCKED"):
                raise LaneLost("moved to the next master", sent=False) from refusal
            if isinstance(request, Confirmation):
                note_refusal(self._fleet, refusal)
            raise
        finally:
            _part(borrowed, request)
        return checked

    async def after_write(
        self,
        borrowed: Borrowed,
        request: Single | Batch,
        options: CallOptions,
        topology: Topology,
        reply: Any,
        deadline: Deadline,
    ) -> None:
        """
        Does what the options ask for after a write on a connection of its own, `topology` being
        the snapshot when it was sent. Raises `NotDurableError`.
        """
        if not (request.writes and request.ran(reply)):
            return
        if options.causality is not None:
            options.causality.wrote(topology, None)
        if not options.durability:
            return
        settings = self._fleet.settings
        within = min(settings.durability_timeout, max(deadline.left, 0.001))
        confirmed: int | None = None
        refusal: Exception | None = None
        wanted = [1]
        try:
            async with asyncio.timeout(
                min(within + settings.socket_timeout, max(deadline.left, 0.001))
            ):
                confirmed, wanted = await confirm(borrowed.lane, [options.durability], within)
        except Exception as error:  # noqa: BLE001  # whatever the reason, nobody has confirmed
            refusal = error if isinstance(error, ResponseError) else None
            borrowed.cut("no answer to WAIT")
        doubt = doubt_of(self._fleet, topology, borrowed.node, confirmed, wanted[0], refusal)
        if doubt is not None:
            raise not_durable(request, topology, confirmed, wanted[0], reply, doubt)

    async def _make_durable(
        self, request: Single | Batch, options: CallOptions, deadline: Deadline
    ) -> Any:
        await self._until_replicas_follow(request, deadline)
        if request.needs_own:
            return await self._make_alone(request, options, deadline)
        return await self.commit(request, options, deadline)

    async def commit(
        self, request: Single | Batch, options: CallOptions, deadline: Deadline
    ) -> Any:
        """
        The reply to a durable write, sent with those of others to the master as it is now.
        """
        topology, member = self._fleet.topology, self._fleet.master
        if member is None or member.committer is None:
            raise DialFailed("no exclusive connections here")
        commit = Commit(request, options.durability)
        try:
            reply = await deadline.wait(
                member.committer.submit(commit),
                lambda: _no_reply() if commit.sent else LaneLost("not sent in time", sent=False),
            )
        except Expired:
            if commit.reply is None or not commit.reply.done():
                raise
            reply = commit.reply.result()  # the master has answered, the replicas have not
        reply = request.checked(reply)
        doubt = doubt_of(
            self._fleet,
            topology,
            member.node.address,
            commit.confirmed,
            commit.wanted,
            commit.refusal,
        )
        if doubt is not None and request.ran(reply):
            safe = options.retry == "always" or (options.retry == "safe" and request.repeatable)
            unsaid = commit.confirmed is None and commit.refusal is None
            if safe and (unsaid or doubt == REPLACED) and not deadline.passed:
                raise LaneLost(doubt, sent=True)
            raise not_durable(request, topology, commit.confirmed, commit.wanted, reply, doubt)
        if options.causality is not None:
            options.causality.wrote(topology, None)
        return reply

    async def _until_replicas_follow(self, request: Single | Batch, deadline: Deadline) -> None:
        """
        Waits for a master that can take the write. One that was promoted a moment ago has no
        replicas yet: a write would run there, and nobody could confirm it.
        """
        waited = 0.0
        try:
            while True:
                await self._lane(request, "master", deadline)
                if not self._fleet.settling:
                    return
                if deadline.passed:
                    raise DeadlineExceededError(
                        f"no replica followed the new master in time to confirm {request.name}"
                    )
                began = self._fleet.now()
                try:
                    await self._fleet.line.wait(deadline, at_most=0.5)
                finally:
                    waited += self._fleet.now() - began
        finally:
            if waited:
                deadline.waited += waited
                self._recorder.waited(request.name, waited)

    async def _until_known(self, causality: Causality, deadline: Deadline) -> None:
        """
        Waits until we know of the master that took what was seen: another process may be ahead.
        """
        while not causality.known_to(self._fleet.topology):
            if deadline.passed:
                raise DeadlineExceededError(
                    "the budget ended before the master that the token speaks of was known"
                )
            self._fleet.watcher.suspect()
            await self._fleet.line.wait(deadline, at_most=0.05)

    async def _write_in(
        self, causality: Causality, request: Single | Batch, deadline: Deadline, lane: Lane
    ) -> Any:
        topology = self._fleet.topology
        sent = request.submit(lane)
        role = _retrieved(lane.submit(_ROLE))  # the offset after it: one write, one round trip
        reply = await deadline.wait(sent, _no_reply)
        try:
            causality.wrote(topology, await deadline.wait(role, _no_reply))
        except Exception:  # noqa: BLE001  # not told: only a master has it, as far as we know
            causality.wrote(topology, None)
        return request.checked(reply)

    async def _read_after(
        self,
        causality: Causality,
        request: Single | Batch,
        options: CallOptions,
        deadline: Deadline,
        lane: Lane,
    ) -> Any:
        while causality.seen is not None and lane.role == "replica":
            topology = self._fleet.topology
            asked = _retrieved(lane.submit(_ROLE))
            sent = _retrieved(request.submit(lane))
            try:
                role = await deadline.wait(asked, _no_reply)
            except ResponseError:  # the ACL forbids it
                role = None
            if causality.held_by(role, topology, self._fleet.settings.reachable):
                return request.checked(await deadline.wait(sent, _no_reply))
            if options.read_from == "replica":
                never = causality.seen.offset is None or causality.seen.order != topology.order
                if never or deadline.passed:
                    raise NoReplicaError("no replica is known to have what this scope has written")
                await asyncio.sleep(min(0.005, deadline.left))
                lane = await self._lane(request, "replica", deadline)
            else:
                lane = await self._lane(request, "master", deadline)
        return request.checked(await deadline.wait(request.submit(lane), _no_reply))


def _part(borrowed: Borrowed, request: Single | Batch) -> None:
    if isinstance(request, Single) and not request.spec.known:
        borrowed.cut("an unknown command may have changed it")
    else:
        borrowed.give_back()


def _retrieved(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """
    The future, whose error is nobody's fault if it is not asked for.
    """
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _no_reply() -> Exception:
    return Expired("no reply within the budget")
