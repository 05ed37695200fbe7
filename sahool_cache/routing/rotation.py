"""
Which replicas are fit to be read: asked of the master and of each replica, every second.

A replica is in rotation while the master lists it as online and not too far behind, and while
it says itself that it follows. What the greeting or a sentinel says does not tell: with its link
silently cut a replica looks healthy to both for minutes. When the master is gone, a replica that
followed it a moment ago goes on serving for as long as it may lag. One that is being refilled
is out at once: it would read existing keys as absent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from sahool_cache.address import Address
from sahool_cache.routing.stream import Stream

__all__ = ["Ask", "Listed", "Role", "Rotation", "read_replication", "read_role"]

Ask = Callable[[Address, tuple[str, ...]], Awaitable[Any]]
"""Asks one server one question; raises an `Exception` where it does not answer."""

EVERY, HURRY_FIRST, HURRY_CAP, HURRY_FOR = 1.0, 0.1, 0.4, 5.0
ANSWER_WITHIN = 0.5
MASTER_FIRST = 0.05


class Rotation:
    """
    Keeps `fit`, and of every replica that the master lists `lags` (seconds behind); `confirming`
    is how many of them can confirm a write, None where it does not tell, and `syncing` whether
    others are on their way.

    `on_change(fit)` is told of another set, `on_missing(right)` once of a right that the ACL
    withholds: without INFO the lag is not known, without ROLE the replica's own word;
    `on_checked()` after each round.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        reachable: Callable[[Address], Address],
        max_lag: float,
        on_change: Callable[[tuple[Address, ...]], None],
        on_missing: Callable[[str], None],
        on_checked: Callable[[], None] = lambda: None,
        now: Callable[[], float],
        random: Random,
    ) -> None:
        self.fit: tuple[Address, ...] = ()
        self.lags: dict[Address, float] = {}
        self.confirming: int | None = None
        self.syncing = False
        self.checked = asyncio.Event()
        self._ask = ask
        self._reachable = reachable
        self._max_lag = max_lag
        self._on_change = on_change
        self._on_missing = on_missing
        self._on_checked = on_checked
        self._now = now
        self._random = random
        self._master: Address | None = None
        self._replicas: tuple[Address, ...] = ()
        self._hurry_until = 0.0
        self._nudged = asyncio.Event()
        self._missing: set[str] = set()
        self._followed_at: dict[Address, float] = {}
        self._lost_at: dict[Address, float] = {}
        self._stream = Stream()

    @property
    def hurrying(self) -> bool:
        """
        Whether replicas are expected back: the group changed a moment ago.
        """
        return self._now() < self._hurry_until

    def follow(self, master: Address | None, replicas: tuple[Address, ...]) -> None:
        """
        Takes over a new snapshot. After a switch nobody is fit until asked again.
        """
        if master != self._master:
            self._master = master
            self._followed_at = {}
            self._set_fit(())
            self.lags = {}
            self.confirming, self.syncing = 0, False
            self._stream = Stream()
        if replicas != self._replicas or not self.fit:
            self._hurry_until = self._now() + HURRY_FOR
            self._nudged.set()
        self._replicas = replicas

    def distrust(self, replica: Address) -> None:
        """
        Takes a replica out until it is asked again: its connection was lost, so it may have
        come back empty.
        """
        self._lost_at[replica] = self._now()
        self._followed_at.pop(replica, None)
        if replica in self.fit:
            self._hurry_until = self._now() + HURRY_FOR
            self._nudged.set()
            self._set_fit(tuple(each for each in self.fit if each != replica))

    async def run(self) -> None:
        """
        Checks until cancelled.
        """
        hurry = HURRY_FIRST
        while True:
            self._nudged.clear()
            if self._master is not None:
                await self._check(self._master, self._replicas)
                self.checked.set()
            self._on_checked()
            settled = len(self.fit) == len(self._replicas) or self._now() > self._hurry_until
            seconds = EVERY if settled else hurry
            hurry = min(HURRY_CAP, hurry * 1.3)
            try:
                async with asyncio.timeout(seconds * self._random.uniform(0.9, 1.0)):
                    await self._nudged.wait()
                hurry = HURRY_FIRST
            except TimeoutError:
                pass

    async def _check(self, master: Address, replicas: tuple[Address, ...]) -> None:
        begun = self._now()
        info = asyncio.create_task(
            self._try(master, ("INFO", "replication")), name="sahool_cache.rotation INFO"
        )
        try:
            # The master first: a replica that keeps up is then as far as it was, not just behind.
            await asyncio.wait({info}, timeout=MASTER_FIRST)
            answers = await asyncio.gather(
                info, *(self._try(replica, ("ROLE",)) for replica in replicas)
            )
        finally:
            info.cancel()
        if master != self._master:
            return
        listed = self._listed(answers[0])
        roles = dict(zip(replicas, map(read_role, answers[1:]), strict=True))
        if listed is not None:
            self.lags = {each: self._lag(row, roles.get(each)) for each, row in listed.items()}
        self._set_fit(
            tuple(
                replica
                for replica, role in roles.items()
                if self._lost_at.get(replica, -math.inf) < begun
                and self._is_fit(replica, role, listed)
            )
        )

    def _listed(self, info: Any) -> dict[Address, Listed] | None:
        if info is None:
            self.confirming, self.syncing = None, False
            return None
        offset, listed = read_replication(info, self._reachable)
        self._stream.note(self._now(), offset)
        self.confirming = sum(row.acknowledges for row in listed.values())
        self.syncing = len(listed) > self.confirming
        return listed

    def _lag(self, row: Listed, role: Role | None) -> float:
        if role is None or not role.state:
            return row.silent
        return max(row.silent, self._stream.behind(role.offset, self._now()))

    def _is_fit(
        self, replica: Address, role: Role, listed: Mapping[Address, Listed] | None
    ) -> bool:
        unasked = "ROLE" in self._missing
        connected = unasked or role.state == "connected"
        lag = 0.0
        if listed is not None:
            row = listed.get(replica)
            lag = math.inf if row is None else self._lag(row, role)
            follows = connected and row is not None and row.state == "online"
            # One that comes anew, after a refill perhaps, has to be all there first.
            whole = unasked or replica in self.fit or self._stream.caught_up(role.offset)
            fit = follows and whole and lag <= self._max_lag
        else:  # the master does not tell: what it told last holds for as long as a lag may
            fit = "INFO" in self._missing and connected
        if fit:
            self._followed_at[replica] = self._now() - lag
        elif listed is None and (unasked or role.state in ("connect", "connecting", "connected")):
            fit = self._now() - self._followed_at.get(replica, -math.inf) <= self._max_lag
        return fit

    async def _try(self, address: Address, question: tuple[str, ...]) -> Any:
        right = question[0]
        if right in self._missing:
            return None
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._ask(address, question)
        except NoPermissionError:
            if right not in self._missing:
                self._missing.add(right)
                self._on_missing(right)
        except (RedisError, TimeoutError, ConnectionError):
            pass
        return None

    def _set_fit(self, fit: tuple[Address, ...]) -> None:
        if fit != self.fit:
            self.fit = fit
            self._on_change(fit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """
    A replica as its master lists it: state of the link, seconds since it last acknowledged, and
    the offset of that, 0 if it has not yet.
    """

    state: str
    silent: float
    offset: int

    @property
    def acknowledges(self) -> bool:
        """
        Whether it can confirm writes: one that was synced a moment ago does not yet.
        """
        return self.state == "online" and self.offset > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """
    A replica's own word on its link, and how far it is; no state where it gives none.
    """

    state: str = ""
    offset: int = 0


def read_replication(
    info: Any, reachable: Callable[[Address], Address]
) -> tuple[int, dict[Address, Listed]]:
    """
    A master's offset and its replicas, by its ``INFO replication``.
    """
    reached = 0
    listed: dict[Address, Listed] = {}
    for line in _text(info).splitlines():
        name, _, value = line.partition(":")
        if name == "master_repl_offset":
            reached = _decimal(value.strip())
        if name.startswith("slave") and name[5:].isdecimal():
            facts = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
            address = Address.told(facts.get("ip", ""), facts.get("port", ""))
            if address is not None:
                silent = facts.get("lag", "0")[:19]
                listed[reachable(address)] = Listed(
                    state=facts.get("state", ""),
                    silent=float(silent) if silent.isdecimal() else math.inf,
                    offset=_decimal(facts.get("offset", "")),
                )
    return reached, listed


def read_role(role: Any) -> Role:
    """
    What a replica says, out of ``[kind, host, port, state, offset]``; others say nothing.
    """
    if not isinstance(role, list) or len(role) < 5 or not isinstance(role[4], int):
        return Role()
    return Role(state=_text(role[3]), offset=role[4])


def _decimal(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
