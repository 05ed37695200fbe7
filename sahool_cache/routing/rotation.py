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
from random import Random
from typing import Any

from redis.exceptions import NoPermissionError, RedisError

from sahool_cache.address import Address

__all__ = ["Ask", "Rotation", "read_replication"]

Ask = Callable[[Address, tuple[str, ...]], Awaitable[Any]]
"""Asks one server one question; raises an `Exception` where it does not answer."""

EVERY, EVERY_AFTER_SWITCH, HURRY_FOR = 1.0, 0.1, 5.0
ANSWER_WITHIN = 0.5


class Rotation:
    """
    Keeps `fit` and `lags` (seconds behind, of every replica that the master lists).

    `on_change(fit)` is told of another set, `on_missing(right)` once of a right that the ACL
    withholds: without INFO the lag is not known, without ROLE the replica's own word.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        reachable: Callable[[Address], Address],
        max_lag: float,
        on_change: Callable[[tuple[Address, ...]], None],
        on_missing: Callable[[str], None],
        now: Callable[[], float],
        random: Random,
    ) -> None:
        self.fit: tuple[Address, ...] = ()
        self.lags: dict[Address, float] = {}
        self.checked = asyncio.Event()
        self._ask = ask
        self._reachable = reachable
        self._max_lag = max_lag
        self._on_change = on_change
        self._on_missing = on_missing
        self._now = now
        self._random = random
        self._master: Address | None = None
        self._replicas: tuple[Address, ...] = ()
        self._hurry_until = 0.0
        self._nudged = asyncio.Event()
        self._missing: set[str] = set()
        self._followed_at: dict[Address, float] = {}
        self._lost_at: dict[Address, float] = {}

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
        while True:
            self._nudged.clear()
            if self._master is not None:
                await self._check(self._master, self._replicas)
                self.checked.set()
            settled = len(self.fit) == len(self._replicas) or self._now() > self._hurry_until
            seconds = EVERY if settled else EVERY_AFTER_SWITCH
            try:
                async with asyncio.timeout(seconds * self._random.uniform(0.9, 1.0)):
                    await self._nudged.wait()
            except TimeoutError:
                pass

    async def _check(self, master: Address, replicas: tuple[Address, ...]) -> None:
        begun = self._now()
        answers = await asyncio.gather(
            self._try(master, ("INFO", "replication")),
            *(self._try(replica, ("ROLE",)) for replica in replicas),
        )
        if master != self._master:
            return
        listed = read_replication(answers[0], self._reachable) if answers[0] is not None else None
        if listed is not None:
            self.lags = {address: lag for address, (_, lag) in listed.items()}
        self._set_fit(
            tuple(
                replica
                for replica, role in zip(replicas, answers[1:], strict=True)
                if self._lost_at.get(replica, -math.inf) < begun
                and self._is_fit(replica, role, listed)
            )
        )

    def _is_fit(
        self, replica: Address, role: Any, listed: Mapping[Address, tuple[str, float]] | None
    ) -> bool:
        state = _link_state(role) if "ROLE" not in self._missing else "connected"
        lag = 0.0
        if listed is not None:
            online, lag = listed.get(replica, ("", math.inf))
            fit = state == "connected" and online == "online" and lag <= self._max_lag
        else:  # the master does not tell: what it told last holds for as long as a lag may
            fit = "INFO" in self._missing and state == "connected"
        if fit:
            self._followed_at[replica] = self._now() - lag
        elif listed is None and state in ("connect", "connecting", "connected"):
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


def read_replication(
    info: Any, reachable: Callable[[Address], Address]
) -> dict[Address, tuple[str, float]]:
    """
    State and lag in seconds of each replica in a master's ``INFO replication``.
    """
    listed: dict[Address, tuple[str, float]] = {}
    for line in _text(info).splitlines():
        name, _, value = line.partition(":")
        if name.startswith("slave") and name[5:].isdecimal():
            facts = dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
            address = Address.told(facts.get("ip", ""), facts.get("port", ""))
            if address is not None:
                lag = facts.get("lag", "0")
                seconds = float(lag) if lag.isdecimal() else math.inf
                listed[reachable(address)] = (facts.get("state", ""), seconds)
    return listed


def _link_state(role: Any) -> str:
    """
    A replica's word on its link, out of ``[kind, host, port, state, offset]``; "" from others.
    """
    return _text(role[3]) if isinstance(role, list) and len(role) > 3 else ""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
