"""
One failover under traffic: what is done, in which order, and what was seen.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from redis.exceptions import RedisError

from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.failover.fault import Crash, Fault, Planned, filled
from sahool_cache.cli.failover.readiness import Master
from sahool_cache.cli.servers import Servers, Unanswered
from sahool_cache.cli.traffic.evidence import Evidence, collect
from sahool_cache.cli.traffic.ledger import WRITES, Kind
from sahool_cache.cli.traffic.target import Ours
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.events import Event, MasterChanged
from sahool_cache.incident import Incident
from sahool_cache.settings import RedisSettings

__all__ = ["Outcome", "Plan", "Say", "run_trial"]

Say = Callable[[str], None]
"""Is told what is going on now."""

RECORD_WITHIN = 10.0
"""Seconds after which the record of a failover is closed at the latest."""

REMOVE_WITHIN = 5.0
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    How it is done. `stop` and `start` are empty for a planned failover; `seconds` is the calm
    before and after, `within` how long a new master, and then a whole group, is waited for.
    """

    stop: str
    start: str
    seconds: float
    within: float
    tasks: int
    rate: float
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What was seen. Times are in seconds: from the fault to a new master and to a whole group, None
    if that did not come; the longest pauses without an acknowledged write and an answered read.

    `lost` and `doubled` are None where nobody told what was written.
    """

    old: Address
    new: Address | None
    new_master_after: float | None
    whole_after: float | None
    write_pause: float
    read_pause: float
    calls: int
    errors: dict[str, int]
    writes: int
    lost: int | None
    doubled: int | None
    complaint: str | None
    incidents: tuple[Incident, ...]


async def run_trial(settings: RedisSettings, master: Master, plan: Plan, say: Say) -> Outcome:
    """
    Causes the failover and waits until all is well again, within bounds. Takes its fault back
    and removes its keys however it ends. Raises `Refused` if nothing could be done.
    """
    async with Servers(settings) as servers:
        trial = _Trial(settings, servers, master, plan, say)
        try:
            return await trial.play()
        finally:
            await trial.clear_away()


class _Trial:
    def __init__(
        self, settings: RedisSettings, servers: Servers, master: Master, plan: Plan, say: Say
    ) -> None:
        self._servers = servers
        self._master = master
        self._plan = plan
        self._say = say
        self._new_master_at: float | None = None
        self._replaced = asyncio.Event()
        prefix = f"{plan.prefix}:failover-test:{uuid4().hex[:8]}"
        self._ours = Ours(settings, self, prefix=prefix)
        pace = plan.tasks / plan.rate
        self._traffic = Traffic(self._ours, Random(), tasks=_shares(plan.tasks), pace=pace)

    def on_event(self, event: Event) -> None:
        """
        Notes when another master was followed.
        """
        if isinstance(event, MasterChanged) and event.old is not None:
            self._new_master_at = event.at
            self._replaced.set()

    async def play(self) -> Outcome:
        """
        The whole of it, from steady traffic to steady traffic.
        """
        await self._ours.open()
        self._traffic.start()
        await self._calm()
        now = self._ours.redis.topology.master
        if now != self._master.address:
            raise Refused(f"the master is {now} now: try again", ExitStatus.DEGRADED)
        began = asyncio.get_running_loop().time()
        complaint = await self._replace(self._fault())
        whole_at = None if complaint else await self._whole()
        await self._calm()
        await self._traffic.stop()
        self._say("counting what was written")
        new = self._ours.redis.topology.master
        if new == self._master.address:
            new = None
        evidence = await self._evidence(new)
        return self._outcome(began, new, whole_at, evidence, complaint)

    async def _calm(self) -> None:
        self._say("steady traffic")
        await asyncio.sleep(self._plan.seconds)

    async def _replace(self, fault: Fault) -> str | None:
        """
        Does it, waits for the new master, takes it back; returns what went wrong with that.
        """
        self._say(f"waiting for the successor of {self._master.address}")
        try:
            await fault.begin()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._plan.within):
                    await self._replaced.wait()
            return await fault.undo()
        except BaseException:
            if complaint := await fault.undo():
                print(f"sahool-cache: {complaint}", file=sys.stderr)
            raise

    def _fault(self) -> Fault:
        plan, master = self._plan, self._master
        if plan.stop:
            return Crash(filled(plan.stop, master), filled(plan.start, master))
        return Planned(self._servers, self._ours.redis.topology.sentinels, master.name)

    async def _whole(self) -> float | None:
        """
        When all was well, and the old master a replica in rotation; None if that did not come.
        """
        redis, old = self._ours.redis, self._master.address
        self._say(f"waiting for {old} to return as a replica")
        loop = asyncio.get_running_loop()
        until = loop.time() + self._plan.within
        while loop.time() < until:
            back = old in redis.topology.in_rotation or not self._replaced.is_set()
            if back and (await redis.health_check())["status"] == "healthy":
                return loop.time()
            await asyncio.sleep(LOOK_EVERY)
        return None

    async def _evidence(self, new: Address | None) -> Evidence | None:
        if new is None:
            return None
        until = asyncio.get_running_loop().time() + RECORD_WITHIN
        while not self._ours.redis.incidents() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(LOOK_EVERY)

        async def ask(*command: str | int) -> object:
            (reply,) = await self._servers.ask(new, tuple(map(str, command)))
            if isinstance(reply, Exception):
                raise reply
            return reply

        try:
            return await collect(ask, self._ours.prefix, self._traffic.ledger.calls)
        except (*Unanswered, RedisError) as error:
            print(f"sahool-cache: {new}: {printable(error)}", file=sys.stderr)
            return None

    def _outcome(
        self,
        began: float,
        new: Address | None,
        whole_at: float | None,
        evidence: Evidence | None,
        complaint: str | None,
    ) -> Outcome:
        ledger = self._traffic.ledger
        write_pause, read_pause = ledger.pauses(self._traffic.ended)
        acknowledged = {
            (each.kind, each.number)
            for each in ledger.calls
            if each.error is None and each.kind in WRITES
        }
        replaced_at = self._new_master_at
        return Outcome(
            old=self._master.address,
            new=new,
            new_master_after=None if replaced_at is None else replaced_at - began,
            whole_after=None if whole_at is None else whole_at - began,
            write_pause=write_pause,
            read_pause=read_pause,
            calls=ledger.operations + ledger.errors,
            errors=dict(Counter(each.error for each in ledger.calls if each.error is not None)),
            writes=len(acknowledged),
            lost=None if evidence is None else len(acknowledged - evidence.present),
            doubled=None if evidence is None else len(evidence.doubled),
            complaint=complaint,
            incidents=self._ours.redis.incidents(),
        )

    async def clear_away(self) -> None:
        """
        Ends the traffic and removes what it wrote; where that fails, the keys expire.
        """
        self._say("clearing away")
        with suppress(RedisError, TimeoutError):
            async with asyncio.timeout(REMOVE_WITHIN):
                await self._traffic.stop()
                await self._ours.remove(self._traffic.sets)
        await self._traffic.aclose()


def _shares(tasks: int) -> dict[Kind, int]:
    each = tasks // 5
    return {"sadd": each, "set": each, "hincrby": each, "get": tasks - 3 * each}
