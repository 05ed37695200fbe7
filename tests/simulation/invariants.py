"""
What must hold in every schedule, whatever happened in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
)

from sahool_cache.address import Address
from sahool_cache.errors import OutcomeUnknownError, SahoolCacheError, UnavailableError
from sahool_cache.routing.topology import Topology
from tests.simulation.callers import Call
from tests.simulation.group import Execution

__all__ = ["check_calls", "check_order"]

GRACE = 0.05
"""Seconds by which a call may overrun its budget."""

NOTHING_RAN = (BusyLoadingError, MasterDownError, ReadOnlyError)


def check_order(
    old: Topology, new: Topology, agreed: set[tuple[Address, int]], at: float
) -> Iterator[str]:
    """
    Snapshots only go forward, except to what every sentinel names.
    """
    if new.order < old.order and agreed != {(new.master, new.epoch)}:
        yield f"{at:.4f}: went back from {old} to {new}, and the sentinels name {agreed}"


def check_calls(
    calls: Sequence[Call], executions: Mapping[int, Sequence[Execution]], written: set[int]
) -> list[str]:
    """
    Every broken promise to a caller, in words.
    """
    problems = []
    for call in calls:
        ran = executions.get(call.number, ())
        problems += [
            f"{call}: {what} (ran {[(str(each.server), round(each.at, 4)) for each in ran]})"
            for what in _check(call, ran, written)
        ]
    return problems


def _check(call: Call, ran: Sequence[Execution], written: set[int]) -> Iterator[str]:
    if call.ended is None:
        yield "never ended"
        return
    if call.ended - call.started > call.budget + GRACE:
        yield "overran its budget"
    counted = [each for each in ran if each.counts]
    if call.once and len(counted) > 1:
        yield "ran more than once"
    if call.error is None:
        yield from _check_reply(call, counted if call.once else ran)
    elif not isinstance(call.error, asyncio.CancelledError):
        yield from _check_error(call, call.error, ran, written)


def _check_reply(call: Call, ran: Sequence[Execution]) -> Iterator[str]:
    reply, number = call.reply, call.number
    in_time = [each for each in ran if call.started <= each.at <= (call.ended or 0)]
    if call.writes and not in_time:
        yield "was acknowledged and never ran"
    match call.kind:
        case "get":
            right = reply is None or reply.startswith(f"{call.key}=")
        case "set":
            right = reply is True
        case "incrby":
            right = reply == number if call.once else reply % number == 0
        case "sadd" | "del":
            right = reply in (0, 1)
        case "transaction":
            right = reply == [True, reply[1], f"{call.key}:x=<{number}>"] and (
                reply[1] == number if call.once else reply[1] % number == 0
            )
        case "batch":
            right = reply == [True, reply[1], f"{call.key}:x=<{number}>"] and reply[1] in (0, 1)
    if not right:
        yield "got a reply that is not its own"


def _check_error(
    call: Call, error: BaseException, ran: Sequence[Execution], written: set[int]
) -> Iterator[str]:
    match error:
        case UnavailableError():
            if ran:
                yield "says that nothing was changed, and it ran"
        case OutcomeUnknownError():
            if not call.writes:
                yield "is a read, whose outcome is never unknown"
            elif call.number not in written:
                yield "says that it was sent, and it was not"
        case SahoolCacheError():
            yield "is an error that no call of this kind may raise"
        case ResponseError() | BusyLoadingError():
            if not isinstance(error, NOTHING_RAN):
                yield "got an error reply that no server gave"
            elif ran and call.kind != "batch":
                yield "says that the server refused it, and it ran"
        case _:
            yield "is no error of the documented tree"
