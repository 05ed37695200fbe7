"""
The connection of a pipeline's own that watches keys.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import WatchError

from sahool_cache.caller import Caller
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import Expired, LaneLost, judge
from sahool_cache.connection.packing import pack
from sahool_cache.connection.request import Batch, Single
from sahool_cache.errors import OutcomeUnknownError, Verdict
from sahool_cache.policy.deadline import Deadline
from sahool_cache.wiring.chain import Chain

__all__ = ["Watching"]

_UNWATCH = pack((b"UNWATCH",))


class Watching:
    """
    One connection to the master, borrowed for the first WATCH and given back at the end.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._borrowed: Borrowed | None = None

    async def ask(self, chain: Chain, request: Single | Batch, deadline: Deadline) -> Any:
        """
        The reply on that connection. Raises what went wrong; then the connection is gone.
        """
        if self._borrowed is None:
            self._borrowed = await chain.servers.borrow(False, "master", deadline)  # noqa: FBT003
        try:
            return await deadline.wait(request.submit(self._borrowed.lane), _no_reply)
        except (LaneLost, Expired, ConnectionError):
            borrowed, self._borrowed = self._borrowed, None
            borrowed.cut("a command on it failed")
            raise

    async def send(self, chain: Chain, request: Single | Batch, deadline: Deadline) -> Any:
        """
        The same while keys are watched: what it writes is taken note of, and made durable.
        """
        options, sent_to = self._caller.options, chain.fleet.topology
        try:
            reply = request.checked(await self.ask(chain, request, deadline))
        except BaseException:
            if options.causality is not None and request.writes:  # it may have run
                options.causality.wrote(chain.fleet.topology, None)
            raise
        finally:
            chain.wrote(request)
        if (borrowed := self._borrowed) is not None:
            await chain.attempts.after_write(borrowed, request, options, sent_to, reply, deadline)
        return reply

    async def execute(self, chain: Chain, batch: Batch) -> list[Any]:
        """
        The replies to the transaction. Raises `WatchError` where it was not run, and
        `OutcomeUnknownError` where it was sent and no answer came.
        """
        fleet = chain.fleet
        if self._borrowed is None:
            raise WatchError("the connection that watched was lost")
        if fleet.watcher.fenced or self._borrowed.node != fleet.topology.master:
            raise WatchError("the master that watched is about to be replaced")
        try:
            replies: list[Any] = await self.send(chain, batch, self._caller.options.deadline())
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
        return replies

    def end(self, *, watches: bool) -> None:
        """
        Hands the connection back, which may still watch.
        """
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is None:
            return
        if watches and borrowed.usable:
            borrowed.give_back_after(_UNWATCH, within=1.0)
        else:
            borrowed.give_back()


def _no_reply() -> Exception:
    return Expired("no reply within the budget")
