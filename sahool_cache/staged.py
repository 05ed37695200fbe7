"""
Commands that a pipeline holds until it is executed, and what may be done with them together.
"""

from __future__ import annotations

from typing import Any

from redis.client import EMPTY_RESPONSE
from redis.exceptions import RedisError, ResponseError

from sahool_cache.commands import Spec, lookup
from sahool_cache.connection.faults import judge
from sahool_cache.connection.request import Batch
from sahool_cache.errors import NeedsOwnConnectionError, Verdict

__all__ = [
    "Staged",
    "batch",
    "first_not_run",
    "needs_own",
    "repeatable",
    "transaction",
    "waits",
    "with_empty",
]

Staged = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments and redis-py's options of one command."""


def batch(
    stack: list[Staged], loads: list[tuple[Any, ...]], flips: frozenset[int], *, needs_own: bool
) -> Batch:
    """
    The staged commands as one plain batch, after the scripts that they need.
    """
    return Batch(
        [*loads, *(lookup(args)[1] for args, _ in stack)],
        transaction=False,
        reads=all(lookup(args)[0].reads for args, _ in stack),
        harmless=all(lookup(args)[0].harmless for args, _ in stack),
        writes=any(lookup(args)[0].writes for args, _ in stack),
        repeatable=all(repeatable(args) for args, _ in stack),
        needs_own=needs_own,
        flips=flips,
    )


def transaction(stack: list[Staged], loads: list[tuple[Any, ...]], *, flipped: bool) -> Batch:
    """
    The staged commands within MULTI and EXEC, after the scripts that they need.
    """
    wire = [*loads, ("MULTI",), *(lookup(args)[1] for args, _ in stack), ("EXEC",)]
    return Batch(
        wire,
        transaction=True,
        reads=all(lookup(args)[0].reads for args, _ in stack),
        harmless=all(lookup(args)[0].harmless for args, _ in stack),
        writes=any(lookup(args)[0].writes for args, _ in stack),
        repeatable=all(repeatable(args) for args, _ in stack),
        flips=frozenset(range(len(wire)) if flipped else ()),
    )


def repeatable(args: tuple[Any, ...]) -> bool:
    """
    Whether the command may run twice.
    """
    spec, canonical = lookup(args)
    return spec.repeatable(canonical[len(spec.words) :])


def needs_own(spec: Spec) -> NeedsOwnConnectionError:
    """
    The refusal of a command that cannot be staged.
    """
    return NeedsOwnConnectionError(
        f"{spec.name} changes the state of its connection and cannot be staged: {spec.own}"
    )


def waits(args: tuple[Any, ...]) -> float | None:
    """
    The seconds that the command may wait at the server; None where it does not.
    """
    spec, canonical = lookup(args)
    return spec.wait(canonical[len(spec.words) :]) if spec.wait is not None else None


def first_not_run(replies: list[Any], stack: list[Staged]) -> int | None:
    """
    From where on the commands may be sent again; None where nothing is to be or may be.
    """
    ran = [not isinstance(r, Exception) or judge(r) is not Verdict.NOTHING_RAN for r in replies]
    if all(ran):
        return None
    first = ran.index(False)
    tail = zip(ran[first:], stack[first:], strict=True)
    return first if all(not did or repeatable(args) for did, (args, _) in tail) else None


def with_empty(replies: list[Any], stack: list[Staged]) -> list[Any]:
    """
    The replies, with redis-py's stand-ins for errors that only mean "nothing there".
    """
    for reply in replies:
        if isinstance(reply, Exception) and not isinstance(reply, RedisError):
            raise reply  # undecodable, as redis-py raises it
    return [
        options[EMPTY_RESPONSE]
        if isinstance(reply, ResponseError) and EMPTY_RESPONSE in options
        else reply
        for reply, (_, options) in zip(replies, stack, strict=True)
    ]
