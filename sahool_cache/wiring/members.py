"""
The servers that are in use, each with its circuit breaker and the task that keeps it connected.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import anyio

from sahool_cache.address import Address
from sahool_cache.background import Background
from sahool_cache.connection.commit import Committer
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.node import Node
from sahool_cache.policy.breaker import BreakerState, NodeBreaker
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import Dialler

__all__ = ["Member", "Members"]


@dataclass(slots=True)
class Member:
    """
    One server, its breaker, its durable writes, and the scope that ends its task.
    """

    node: Node
    breaker: NodeBreaker
    scope: anyio.CancelScope
    committer: Committer | None
    up: bool = False
    quiet: bool = False

    def close(self, why: str) -> None:
        """
        Cuts every connection for good.
        """
        self.node.close(why)
        if self.committer is not None:
            self.committer.release(why)


class Members:
    """
    Members by address; made when first needed, retired when they leave the group.
    """

    def __init__(
        self,
        settings: RedisSettings,
        dialler: Dialler,
        *,
        random: Random,
        now: Callable[[], float],
        on_node: Callable[[Node], None],
        on_flush: Callable[[Node], None],
        on_breaker: Callable[[Address, BreakerState], None],
    ) -> None:
        self._settings = settings
        self._dialler = dialler
        self._random = random
        self._now = now
        self._on_node = on_node
        self._on_flush = on_flush
        self._on_breaker = on_breaker
        self._tasks: Background | None = None
        self._members: dict[Address, Member] = {}
        self._lane_options = LaneOptions(
            count=settings.lanes,
            budget=settings.command_timeout,
            quiet_after=settings.quiet_after,
            silence_limit=settings.socket_timeout,
            decode=settings.decode_responses,
            max_age=settings.max_connection_age,
        )

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def start(self, tasks: Background) -> None:
        """
        Runs the members' tasks in that group from now on.
        """
        self._tasks = tasks

    def get(self, address: Address | None) -> Member | None:
        """
        The member at that address, where there is one.
        """
        return self._members.get(address) if address is not None else None

    def ensure(self, address: Address) -> Member:
        """
        The member at that address; a new one begins to connect.
        """
        member = self._members.get(address)
        if member is None:
            member = self._members[address] = self._make(address)
            if self._tasks is not None:
                self._tasks.start(_run, member, name=f"sahool_cache.node {address}")
        return member

    def _make(self, address: Address) -> Member:
        settings = self._settings
        dial, pool = self._dialler.server(address)
        breaker = NodeBreaker(
            str(address),
            failures=settings.breaker_failures,
            open_for=settings.breaker_open_for,
            probes=settings.breaker_probes,
            now=self._now,
            on_change=lambda state: self._on_breaker(address, state),
        )
        node = Node(
            address,
            dial=dial,
            options=self._lane_options,
            random=self._random,
            pool=pool,
            may_dial=breaker.may_dial,
            on_change=self._on_node,
            on_flush=self._on_flush,
        )
        committer = None
        if pool is not None:
            committer = Committer(
                pool,
                timeout=settings.durability_timeout,
                patience=settings.socket_timeout,
                start=self._start_commits,
            )
        return Member(node, breaker, anyio.CancelScope(), committer)

    def _start_commits(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._tasks is not None:
            self._tasks.start(run, name="sahool_cache.commits")

    def retire_all_but(self, keep: set[Address | None]) -> None:
        """
        Ends the members at all other addresses.
        """
        for address in self._members.keys() - keep:
            member = self._members.pop(address)
            member.close("no longer in the group")
            member.scope.cancel()

    def close(self) -> None:
        """
        Cuts every connection for good.
        """
        for member in self:
            member.close("client closed")


async def _run(member: Member) -> None:
    with member.scope:
        await member.node.run()
