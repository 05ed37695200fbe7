"""
Commands that a pipeline holds until it is executed, and what may be done with them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.client import EMPTY_RESPONSE
from redis.exceptions import ExecAbortError, RedisError, ResponseError, WatchError

from sahool_cache.commands import SPECS, Spec, lookup
from sahool_cache.connection.faults import judge
from sahool_cache.connection.request import Batch
from sahool_cache.errors import NeedsOwnConnectionError, Verdict

__all__ = [
    "Staged",
    "any_error",
    "batch",
    "first_not_run",
    "merged",
    "needs_own",
    "stage",
    "transaction",
    "waits",
    "with_empty",
]

Staged = tuple[tuple[Any, ...], dict[str, Any], Spec, tuple[Any, ...]]
"""The arguments and redis-py's options of one command, its spec, and what goes on the wire."""


def stage(args: tuple[Any, ...], options: dict[str, Any]) -> Staged:
    """
    The command, ready to be held. Raises redis-py's `DataError` where there is no name.
    """
    return (args, options, *lookup(args))


def batch(
    stack: Sequence[Staged],
    loads: Sequence[tuple[Any, ...]],
    flips: frozenset[int],
    *,
    needs_own: bool,
    sure: bool,
) -> Batch:
    """
    The staged commands as one plain batch, after the scripts that they need. It is `sure` that
    each can be sent where they are the arguments of plain SETs alone.
    """
    return Batch(
        [*loads, *(stack if sure else _wire(stack))],
        specs=_specs(stack, sure=sure),
        transaction=False,
        repeatable=partial(_all_repeatable, stack, sure=sure),
        needs_own=needs_own,
        flips=flips,
        sure=sure and not loads,
    )


def transaction(
    stack: Sequence[Staged], loads: Sequence[tuple[Any, ...]], *, flipped: bool, sure: bool
) -> Batch:
    """
    The staged commands within MULTI and EXEC, after the scripts that they need.
    """
    wire = [*loads, ("MULTI",), *(stack if sure else _wire(stack)), ("EXEC",)]
    return Batch(
        wire,
        specs=_specs(stack, sure=sure),
        transaction=True,
        repeatable=partial(_all_repeatable, stack, sure=sure),
        flips=frozenset(range(len(wire)) if flipped else ()),
        sure=sure and not loads,
    )


def _wire(stack: Sequence[Staged]) -> list[tuple[Any, ...]]:
    return [wire for _, _, _, wire in stack]


def _specs(stack: Sequence[Staged], *, sure: bool) -> set[Spec]:
    return {SPECS["SET"]} if sure else {spec for _, _, spec, _ in stack}


def _all_repeatable(stack: Sequence[Staged], *, sure: bool) -> bool:
    return sure or all(map(_repeatable, stack))


def _repeatable(staged: Staged) -> bool:
    _, _, spec, wire = staged
    return spec.repeatable(wire[len(spec.words) :])


def needs_own(spec: Spec) -> NeedsOwnConnectionError:
    """
    The refusal of a command that cannot be staged.
    """
    return NeedsOwnConnectionError(
        f"{spec.name} changes the state of its connection and cannot be staged: {spec.own}"
    )


def waits(stack: Sequence[Staged]) -> list[float]:
    """
    The seconds that each command that waits may wait at the server; 0 for without end.
    """
    return [
        seconds
        for _, _, spec, wire in stack
        if spec.wait is not None and (seconds := spec.wait(wire[len(spec.words) :])) is not None
    ]


def first_not_run(replies: list[Any], stack: Sequence[Staged]) -> int | None:
    """
    From where on the commands may be sent again; None where nothing is to be or may be.
    """
    ran = [not isinstance(r, Exception) or judge(r) is not Verdict.NOTHING_RAN for r in replies]
    if all(ran):
        return None
    first = ran.index(False)
    tail = zip(ran[first:], stack[first:], strict=True)
    return first if all(not did or _repeatable(staged) for did, staged in tail) else None


def with_empty(replies: list[Any], stack: Sequence[Staged]) -> list[Any]:
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
        for reply, (_, options, _, _) in zip(replies, stack, strict=True)
    ]


def merged(
    replies: list[Any], stack: Sequence[Staged], annotate: Callable[[Exception, int, Any], None]
) -> list[Any]:
    """
    The results inside EXEC's reply, with what was refused while queueing at its place.

    Raises `WatchError` where a watched key had changed, and what EXEC was refused for.
    """
    said = iter(replies[1:-1])
    refused: list[tuple[int, Any]] = []
    for place, (args, options, _, _) in enumerate(stack):
        reply = options[EMPTY_RESPONSE] if EMPTY_RESPONSE in options else next(said)
        if EMPTY_RESPONSE in options:
            refused.append((place, reply))
        elif isinstance(reply, ResponseError):
            annotate(reply, place + 1, args)
            refused.append((place, reply))
    results: Any = replies[-1]
    if isinstance(results, ExecAbortError) and refused:
        raise refused[0][1] from results
    if isinstance(results, Exception):
        raise results
    if results is None:
        raise WatchError("Watched variable changed.")
    for place, reply in refused:
        results.insert(place, reply)
    if len(results) != len(stack):
        raise ResponseError("Wrong number of response items from pipeline execution")
    return list(results)


def any_error(replies: list[Any]) -> bool:
    """
    Whether any of the replies is one.
    """
    return any(issubclass(kind, Exception) for kind in set(map(type, replies)))
