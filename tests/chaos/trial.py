"""
One trial: one scene, one client, a fresh group; and everything that is known of it afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

from tests.chaos.arena import Arena, Group
from tests.chaos.audit import survey, writes_that_reached
from tests.chaos.clients import CLIENTS, Client, NotBuiltError
from tests.chaos.consistency import anomalies
from tests.chaos.history import History, Operation
from tests.chaos.leaks import Closing, close, sockets_now, tasks_now
from tests.chaos.load import WRITERS, Load, seed
from tests.chaos.measure import Evidence, measure, survivors
from tests.chaos.scenes import Scene
from tests.chaos.sentinel_log import SentinelLog
from tests.chaos.stall import Stall

__all__ = ["BIN", "STALLED", "WARM_UP", "Event", "Trial", "play"]

BIN = 0.05
"""Seconds of one step of the timeline."""
WARM_UP = 1.0
STALLED = 0.05
_WRITERS = tuple(f"writer {n}" for n in range(WRITERS))
_TOLD = {
    "+sdown", "+odown", "-odown", "+new-epoch", "+elected-leader", "+selected-slave",
    "+promoted-slave", "+switch-master", "+failover-end", "+convert-to-slave", "+reboot",
    "-failover-abort-not-elected", "-failover-abort-no-good-slave",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One thing on the timeline; `at` is in seconds after the fault.
    """

    at: float
    name: str


@dataclass(slots=True, kw_only=True)
class Trial:
    """
    What came of one trial. `figures` has what `measure` computed, the facts that the scene noted,
    and what was left after closing; a figure that could not be seen is None.

    `trouble` says why there are no figures; `unbuilt`, that an option is missing.
    """

    scene: str
    client: str
    down_after: float
    figures: dict[str, float | None] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    elections: int = 0
    stall: float = 0.0
    """Seconds for which the machine itself stood still, at the longest."""
    blocked: float = 0.0
    """Seconds for which the event loop did not come round, if more than 0.1."""
    where: str = ""
    """What the loop was doing then."""
    events: list[Event] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    """Acknowledged writes that survived, per `BIN`, from `WARM_UP` before the fault on."""
    left: list[str] = field(default_factory=list)
    trouble: str | None = None
    unbuilt: bool = False

    @property
    def clean(self) -> bool:
        """
        Whether its timings speak of the client: Sentinel held one election at most, and the
        machine did not stand still.
        """
        return self.elections <= 1 and self.stall <= STALLED


class _Closer:
    """
    Closes the client once, whoever asks first: the scene, or the end of the trial.
    """

    def __init__(self, client: Client, load: Load, log: SentinelLog, group: Group) -> None:
        self._client, self._load, self._log, self._group = client, load, log, group
        self._tasks = tasks_now()
        self._sockets = sockets_now(self._apart)
        self.closing: Closing | None = None

    async def __call__(self) -> None:
        if self.closing is None:
            self._load.stopped = True
            self.closing = await close(
                self._client,
                tasks=self._tasks | self._load.tasks,
                sockets=self._sockets,
                apart=self._apart,
            )

    def _apart(self) -> frozenset[int]:
        # Proxies keep their side of a connection for as long as they hold what is in it.
        return self._log.sockets | frozenset(getattr(self._group, "sockets", ()))


async def play(
    scene: Scene, client_name: str, *, patience: float = 15.0
) -> tuple[Trial, list[Operation]]:
    """
    The trial of this scene with this client, and the history of its calls.
    """
    trial = Trial(scene=scene.name, client=client_name, down_after=scene.down_after)
    history = History()
    try:
        async with scene.group() as group, _listening(group) as log:
            client = CLIENTS[client_name](group.settings, scene.options)
            await _play(scene, trial, history, group, log, client, patience)
    except NotBuiltError as error:
        trial.unbuilt, trial.trouble = True, str(error)
    return trial, history.operations


@asynccontextmanager
async def _listening(group: Group) -> AsyncIterator[SentinelLog]:
    secret, other = group.settings.password, group.settings.sentinel_password
    with SentinelLog(
        [each.address for each in group.sentinels],
        password=secret.get_secret_value() if secret else None,
        sentinel_password=other.get_secret_value() if other else None,
    ) as log:
        async with asyncio.timeout(5):
            while not log.listening:
                await asyncio.sleep(0.005)
        yield log


async def _play(
    scene: Scene,
    trial: Trial,
    history: History,
    group: Group,
    log: SentinelLog,
    client: Client,
    patience: float,
) -> None:
    await seed(group)
    load, stall = Load(client, history), Stall()
    beat = asyncio.create_task(stall.beat(), name="beat")
    closer = _Closer(client, load, log, group)
    arena = Arena(
        group,
        history,
        down_after=scene.down_after,
        writers=_WRITERS,
        close=closer,
        patience=patience,
    )
    try:
        await client.open()
        began = time.monotonic()
        with stall:
            async with load:
                await arena.calm(WARM_UP)
                await scene.run(arena)
                await _look_at_the_old(arena, log)
                ended = time.monotonic()
        trial.stall, trial.blocked = stall.longest, stall.blocked
        trial.where = stall.where
    finally:
        await closer()
        beat.cancel()
    await _tell(trial, arena, log, client, span=(began, ended))
    _tell_of_the_end(trial, closer.closing, load)


async def _look_at_the_old(arena: Arena, log: SentinelLog) -> None:
    # At the very end, but before it has become a replica of the new master.
    switch = log.first("+switch-master", arena.marked("fault") or 0.0)
    if arena.old is not None and switch is not None:
        reached = await writes_that_reached(arena.group, arena.old, arena.history, switch.at)
        if reached is not None:
            arena.note("reached_old", reached)


async def _tell(
    trial: Trial, arena: Arena, log: SentinelLog, client: Client, *, span: tuple[float, float]
) -> None:
    began, ended = span
    fault = arena.marked("fault")
    since = fault or began
    switch = log.first("+switch-master", since)
    promoted = min((at for at in log.promoted.values() if at > since), default=None)
    there = await survey(arena.group, arena.group.master, arena.history)
    evidence = Evidence(
        operations=arena.history.operations,
        survey=there,
        began=began,
        ended=ended,
        fault=fault,
        switched=switch.at if switch else None,
        promoted=promoted,
        deadline=client.deadline,
        writers=arena.writers,
    )
    figures = asdict(measure(evidence))
    trial.errors = figures.pop("by_name")
    trial.figures = figures | anomalies(evidence.operations, there) | arena.facts
    if "closed" in arena.facts:
        trial.figures["own_pause"] = figures["outage"] - arena.facts["closed"]
    trial.elections = log.elections(since)
    trial.events = _events(arena, log, since, promoted)
    acknowledged = (each for each in arena.history if each.acknowledged)
    trial.acknowledged = _bins([e.ended for e in survivors(acknowledged, there)], since, ended)


def _tell_of_the_end(trial: Trial, closing: Closing | None, load: Load) -> None:
    if closing is not None:
        trial.figures |= {
            "close_time": closing.took,
            "tasks_left": len(closing.tasks),
            "sockets_left": closing.sockets,
        }
        trial.left = list(closing.tasks)


def _events(arena: Arena, log: SentinelLog, since: float, promoted: float | None) -> list[Event]:
    announced = [(name, log.first(name, since)) for name in sorted(_TOLD)]
    moments = [(mark.name, mark.at) for mark in arena.marks]
    moments += [(name, event.at) for name, event in announced if event is not None]
    moments += [] if promoted is None else [("ROLE master", promoted)]
    found = [Event(at=at - since, name=name) for name, at in moments]
    return sorted(found, key=lambda each: each.at)


def _bins(times: list[float], fault: float, ended: float) -> list[int]:
    start = fault - WARM_UP
    counts = Counter(int((each - start) / BIN) for each in times if each >= start)
    return [counts[n] for n in range(max(1, int((ended - start) / BIN)))]
