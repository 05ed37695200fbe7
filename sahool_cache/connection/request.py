"""
What is sent: one command, one that waits at the server, or several together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import Any

from redis.exceptions import NoPermissionError

from sahool_cache.commands import Spec, lookup, with_wait
from sahool_cache.connection.entries import Flipped, Timed, read_error
from sahool_cache.connection.faults import judge
from sahool_cache.connection.lane import BULKY, Lane
from sahool_cache.connection.packing import pack, pieces
from sahool_cache.errors import Verdict

__all__ = ["Batch", "Blocking", "Confirmation", "Single"]

CHUNK = 334
"""Commands of a batch that are joined into one write: the server works while we go on."""

_MARK_CHANNEL = "sahool_cache:wait"
_MARK = pack((b"SPUBLISH", _MARK_CHANNEL, b""))
"""A write that changes no data: replicated like any other, and heard by nobody."""


class Single:
    """
    One command. `flipped` asks for the reply decoded the other way than the lane does.
    """

    __slots__ = ("_packed", "args", "flipped", "spec")

    def __init__(self, args: Sequence[Any], *, flipped: bool = False) -> None:
        self.spec, self.args = lookup(args)
        self.flipped = flipped
        packed = pack(self.args)  # at once, so that a bad argument is refused before all else
        self._packed = packed if len(packed) < BULKY else None  # who waits keeps no second copy

    @property
    def name(self) -> str:
        """
        The command's name, with its sub-command.
        """
        return self.spec.name

    @property
    def commands(self) -> Sequence[Sequence[Any]]:
        """
        What it consists of.
        """
        return (self.args,)

    @property
    def reads(self) -> bool:
        """
        Whether a replica may serve it.
        """
        return self.spec.reads

    @property
    def harmless(self) -> bool:
        """
        Whether it changes nothing.
        """
        return self.spec.harmless

    @property
    def writes(self) -> bool:
        """
        Whether it may change data.
        """
        return self.spec.writes

    @property
    def repeatable(self) -> bool:
        """
        Whether it may run twice.
        """
        return self.spec.repeatable(self.args[len(self.spec.words) :])

    @property
    def cursor(self) -> bool:
        """
        Whether all of its pages must go to one server.
        """
        return self.spec.cursor

    @property
    def urgent(self) -> bool:
        """
        Whether it is for a server that answers nothing else: it ends what blocks it.
        """
        return self.spec.name in ("SCRIPT KILL", "FUNCTION KILL", "SHUTDOWN")

    @property
    def needs_own(self) -> bool:
        """
        Whether it must not share a connection: it waits at the server, or nobody knows what
        it does to its connection.
        """
        if self.spec.wait is not None:
            return self.spec.wait(self.args[len(self.spec.words) :]) is not None
        return self.urgent or (not self.spec.known and "." not in self.spec.name)

    def ran(self, _reply: Any) -> bool:
        """
        Whether a reply that is no error says that it ran.
        """
        return True

    def submit(self, lane: Lane) -> asyncio.Future[Any]:
        """
        The future reply.
        """
        if lane.budget == inf and not self.flipped:  # nobody keeps the time there
            return lane.submit(self._packed or pack(self.args))
        future: asyncio.Future[Any] = lane.submit_as(
            self._packed or pack(self.args), Flipped if self.flipped else Timed
        )
        return future

    def checked(self, reply: Any) -> Any:
        """
        The reply as it is: an error reply has been raised already.
        """
        return reply


class Blocking(Single):
    """
    One command that waits at the server for `seconds`, 0 for without end.
    """

    __slots__ = ("_until", "seconds")

    def __init__(self, args: Sequence[Any], seconds: float, *, flipped: bool = False) -> None:
        super().__init__(args, flipped=flipped)
        self.seconds = seconds
        self._until: float | None = None

    @property
    def left(self) -> float:
        """
        The seconds that it has still to wait at the server; 0 for without end.
        """
        if self._until is None or not self.seconds:
            return self.seconds
        return max(self._until - asyncio.get_running_loop().time(), 0.001)

    def submit(self, lane: Lane) -> asyncio.Future[Any]:
        """
        The future reply; a second submission waits only for what is left of the time.
        """
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self.seconds
        elif self.seconds:
            size = len(self.spec.words)
            args = with_wait(self.spec.name, self.args[size:], self.left)
            self._packed = pack((*self.args[:size], *args))
        return super().submit(lane)


class Confirmation(Blocking):
    """
    WAIT or WAITAOF for all that was written before it, on whatever connection.

    The server waits for the last write of the asking connection only, and not at all on one that
    has written nothing: so this one writes first.
    """

    __slots__ = ()

    def submit(self, lane: Lane) -> asyncio.Future[Any]:
        """
        The future replies to the mark and to the command; the latter asks again from the start.
        """
        return lane.submit_group([_MARK + pack(self.args)], 2)

    def checked(self, reply: Any) -> Any:
        """
        The command's own reply. Raises the refusal of either.
        """
        mark, answer = reply
        if isinstance(mark, NoPermissionError):
            raise NoPermissionError(
                f"{self.name} needs the right to SPUBLISH to {_MARK_CHANNEL}: {mark}"
            ) from mark
        for each in (mark, answer):
            if isinstance(each, Exception):
                raise each
        return answer


class Batch:
    """
    Several commands with nothing in between; their replies in order, errors among them.

    A `transaction` starts with MULTI and ends with EXEC, maybe after commands of its own kind
    such as SCRIPT LOAD. `flips` are the places of replies that are decoded the other way than
    the lane does. `specs` are those of its commands, MULTI and EXEC aside; it is `sure` that every
    argument can be sent where someone has looked at them.
    """

    __slots__ = (
        "_pieces", "_repeatable", "commands", "cursor", "flips", "harmless", "name",
        "needs_own", "reads", "transaction", "urgent", "writes",
    )  # fmt: skip

    def __init__(
        self,
        commands: Sequence[tuple[Any, ...]],
        *,
        specs: Collection[Spec],
        transaction: bool,
        repeatable: Callable[[], bool],
        needs_own: bool = False,
        flips: frozenset[int] = frozenset(),
        sure: bool = False,
    ) -> None:
        self.name = "MULTI/EXEC" if transaction else "a pipeline"
        self.transaction = transaction
        self.reads = all(spec.reads for spec in specs)
        self.harmless = all(spec.harmless for spec in specs)
        self.writes = any(spec.writes for spec in specs)
        self._repeatable = repeatable
        self.commands = commands
        self.needs_own = needs_own
        self.cursor = self.urgent = False
        self.flips = flips
        # All of it before it is sent, since a bad argument must send nothing; if there is none for
        # sure, while it is sent: the first commands are under way before the last are packed.
        self._pieces = None if sure else list(pieces(commands, CHUNK))

    @property
    def repeatable(self) -> bool:
        """
        Whether all of it may run twice.
        """
        return self._repeatable()

    def submit(self, lane: Lane) -> asyncio.Future[list[Any]]:
        """
        The future replies.
        """
        packed, self._pieces = self._pieces or pieces(self.commands, CHUNK), None
        return lane.submit_group(packed, len(self.commands), self.flips)

    def ran(self, replies: list[Any]) -> bool:
        """
        Whether it ran; a transaction may have been discarded as a whole.
        """
        discarded = replies[-1] is None or isinstance(replies[-1], Exception)
        return not (self.transaction and discarded)

    def checked(self, replies: list[Any]) -> list[Any]:
        """
        The replies, unless they say that nothing at all ran: then that reply is raised.
        """
        if self.transaction:
            refusal = _why_aborted(replies)
        else:
            refusal = next((reply for reply in replies[:1] if _nothing_ran(reply)), None)
            if refusal is not None and not all(map(_nothing_ran, replies)):
                refusal = None
        if refusal is not None:
            raise refusal
        return replies


def _nothing_ran(reply: Any) -> bool:
    return isinstance(reply, Exception) and judge(reply) is Verdict.NOTHING_RAN


def _why_aborted(replies: list[Any]) -> Exception | None:
    """
    The refusal behind a transaction that a demoted or loading server turned down as a whole.
    """
    if not isinstance(replies[-1], Exception):
        return None
    said = [reply for reply in replies if isinstance(reply, Exception)]
    _, _, cause = str(replies[-1]).partition("because of: ")
    if cause:
        said.insert(0, read_error(cause))
    return next(filter(_nothing_ran, said), None)
