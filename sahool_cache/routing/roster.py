"""
All sentinels of the group: kept connected, asked together, learned from one another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import anyio

from sahool_cache.address import Address
from sahool_cache.background import Background
from sahool_cache.routing.discovery import SentinelView
from sahool_cache.routing.sentinel_link import Channel, SentinelLink

__all__ = ["Roster"]


class Roster:
    """
    The links to every known sentinel. The configured ones stay; learned ones come and go.
    """

    def __init__(
        self,
        configured: tuple[Address, ...],
        *,
        name: str,
        dial: Callable[[Address], Awaitable[Channel]],
        reachable: Callable[[Address], Address],
        timeout: float,
        random: Random,
        heard: Callable[[str, str], None],
        on_state: Callable[[SentinelLink], None],
    ) -> None:
        self.links: dict[Address, SentinelLink] = {}
        self._configured = configured
        self._name = name
        self._dial = dial
        self._reachable = reachable
        self._timeout = timeout
        self._random = random
        self._heard = heard
        self._on_state = on_state
        self._tasks: Background | None = None
        self._scopes: dict[Address, anyio.CancelScope] = {}

    @property
    def listening(self) -> bool:
        """
        Whether the events of every sentinel reach us.
        """
        return all(link.listening for link in self.links.values())

    def causes(self, views: Mapping[Address, SentinelView]) -> dict[str, str]:
        """
        What each sentinel said, or why it said nothing.
        """
        return {
            str(link.address): link.error or f"names {views[link.address].master}"
            for link in self.links.values()
            if link.error or link.address in views
        }

    def start(self, tasks: Background) -> None:
        """
        Opens a link to each configured sentinel, as tasks of that group.
        """
        self._tasks = tasks
        for address in self._configured:
            self._add(address)

    def _add(self, address: Address) -> None:
        link = SentinelLink(
            address,
            name=self._name,
            dial=self._dial,
            reachable=self._reachable,
            timeout=self._timeout,
            random=self._random,
            heard=self._heard,
            on_state=self._on_state,
        )
        scope = anyio.CancelScope()
        self.links[address], self._scopes[address] = link, scope

        async def run() -> None:
            with scope:
                await link.run()

        if self._tasks is not None:
            self._tasks.start(run, name=f"sahool_cache.sentinel {address}")

    async def ask(
        self,
        stop: asyncio.Event,
        answered: Callable[[dict[Address, SentinelView]], Awaitable[None]],
        *,
        brief: bool = False,
    ) -> None:
        """
        Asks every sentinel at once; `answered(views)` is awaited with all views so far after
        each answer, so that a hung sentinel delays nobody. Ends early when `stop` is set.
        """
        views: dict[Address, SentinelView] = {}
        asked = {
            asyncio.create_task(link.ask(brief=brief), name=f"sahool_cache.ask {address}"): address
            for address, link in self.links.items()
        }
        stopped = asyncio.create_task(stop.wait(), name="sahool_cache.ask stop")
        waiting = set(asked)
        try:
            while waiting and not (stopped.done() and views):
                either: set[asyncio.Task[Any]] = {*waiting, stopped}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                done = [task for task in asked if task in waiting and task.done()]
                waiting.difference_update(done)
                for task in done:
                    if task.exception() is None:
                        views[asked[task]] = task.result()
                if done and views:
                    await answered(dict(views))
                elif (
                    stopped.done() and waiting
                ):  # hinted before anybody answered: wait for the first
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending: list[asyncio.Task[Any]] = [*asked, stopped]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def learn(self, views: Mapping[Address, SentinelView]) -> None:
        """
        Adds the sentinels that others know, and drops learned ones that nobody knows any more.
        """
        ids: dict[str, SentinelLink] = {}
        for link in self.links.values():
            ids.setdefault(link.run_id, link)
        known = set()
        for view in views.values():
            for run_id, address in view.peers.items():
                known.add(address)
                if run_id not in ids and address not in self.links:
                    self._add(address)
        for address, link in list(self.links.items()):
            twin = bool(link.run_id) and ids.get(link.run_id, link) is not link
            gone = bool(views) and address not in known and address not in views
            if address not in self._configured and (twin or gone):
                self._scopes.pop(address).cancel()
                del self.links[address]
