"""
One run of the demo: the group, the traffic, the faults, the count at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from random import Random
from typing import Protocol

from sahool_cache.cli.demo.contenders import RedisPy
from sahool_cache.cli.demo.script import Script
from sahool_cache.cli.demo.stage import Frame, NodeState, Note, Stage
from sahool_cache.cli.demo.verdict import Fault, Result, Verdict, costs
from sahool_cache.cli.traffic.evidence import collect
from sahool_cache.cli.traffic.target import Ours, Target
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.embedded import EmbeddedSentinel

__all__ = ["Display", "Outcome", "run_show"]

FRAMES = 8
"""Pictures per second."""

QUICKER_RETURN = {"info-period": 1000, "publish-period": 500}
"""
With these Sentinel demotes a master that comes back after 3 s instead of 10 s. They change nothing
of what the demo measures: how a lost master is noticed and replaced.
"""


class Display(Protocol):
    """
    Where the show is seen.
    """

    def note(self, note: Note) -> None:
        """
        Is told at once of what happened.
        """

    def show(self, frame: Frame) -> None:
        """
        Gets a new frame several times a second.
        """


class Outcome:
    """
    What is known so far: filled while the show runs, so that an end before its time loses nothing.
    """

    def __init__(self) -> None:
        self.verdict = Verdict(ours=Result())
        self.notes: list[Note] = []


async def run_show(outcome: Outcome, display: Display, *, seconds: float, compare: bool) -> None:
    """
    Plays the whole show; raises `EmbeddedError` or `TimeoutError` if the group itself fails.
    """
    stage = Stage(seconds=seconds, on_note=display.note)
    outcome.notes = stage.notes
    async with EmbeddedSentinel(sentinel_debug=QUICKER_RETURN) as group, AsyncExitStack() as stack:
        stage.tell("the group of six processes is up")
        ours = Ours(group.settings, stage, prefix="demo:ours")
        contenders: list[Target] = [ours]
        if compare:
            settings = group.settings
            contenders.append(RedisPy(settings.sentinels, settings.master_name))
        traffics = [Traffic(contender, Random()) for contender in contenders]
        for traffic in traffics:
            stack.push_async_callback(traffic.aclose)
            await traffic.target.open()
            traffic.start()
        script = Script(group, traffics, stage)
        async with _painting(display, stage, group, ours, traffics):
            await script.play()
            stage.headline = "Counting what the master really holds ..."
            await asyncio.gather(*(traffic.stop() for traffic in traffics))
            outcome.verdict = await _count(group, traffics, script.faults)


async def _count(
    group: EmbeddedSentinel, traffics: Sequence[Traffic], faults: Sequence[Fault]
) -> Verdict:
    master = group.master
    results = []
    for traffic in traffics:
        ledger = traffic.ledger
        ask = partial(group.command, master, timeout=10.0)
        evidence = await collect(ask, traffic.target.prefix, ledger.calls)
        charged = costs(ledger, evidence, faults, end=traffic.ended)
        results.append(Result(faults=charged, operations=ledger.operations))
    return Verdict(ours=results[0], redis_py=results[1] if len(results) > 1 else None)


@asynccontextmanager
async def _painting(
    display: Display,
    stage: Stage,
    group: EmbeddedSentinel,
    ours: Ours,
    traffics: Sequence[Traffic],
) -> AsyncIterator[None]:
    async def paint() -> None:
        while True:
            display.show(_frame(stage, group, ours, traffics))
            await asyncio.sleep(1 / FRAMES)

    painter = asyncio.create_task(paint(), name="demo:painter")
    try:
        yield
    finally:
        painter.cancel()
        with suppress(asyncio.CancelledError):
            await painter


def _frame(stage: Stage, group: EmbeddedSentinel, ours: Ours, traffics: Sequence[Traffic]) -> Frame:
    topology, stats = ours.redis.topology, ours.redis.stats()
    known = sorted({*topology.replicas, *filter(None, (topology.master,)), *stage.conditions})
    nodes = tuple(
        NodeState(
            address=address,
            role="master" if address == topology.master else "replica",
            in_rotation=address in topology.in_rotation,
            condition=stage.conditions.get(address),
        )
        for address in known
    )
    breaker = "closed" if topology.master is None else stats.breakers.get(topology.master, "closed")
    return Frame(
        elapsed=stage.elapsed,
        seconds=stage.seconds,
        headline=stage.headline,
        notes=tuple(stage.notes),
        nodes=nodes,
        epoch=topology.epoch,
        provisional=topology.provisional,
        sentinels=(len(stage.sentinels), len(group.sentinels)),
        breaker=breaker.replace("_", "-"),
        waiting=stats.waiting,
        contenders=tuple((each.target.title, each.figures()) for each in traffics),
    )
