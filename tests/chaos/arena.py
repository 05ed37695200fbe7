"""
What a scene plays in: the group, the client under test with its load, and the listeners around it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sahool_cache import RedisSettings
from sahool_cache.embedded import Node
from tests.chaos.history import History

__all__ = ["Arena", "Group", "Mark"]


class Group(Protocol):
    """
    What scenes, listeners and the audit use of a group; `EmbeddedSentinel` is one.

    `command` and the nodes' addresses go to the servers directly, past whatever stands between
    them and the client under test; `settings` are for that client. A group that holds sockets
    in this process while a trial runs has them in `sockets`, by their descriptors.
    """

    @property
    def settings(self) -> RedisSettings: ...
    @property
    def master(self) -> Node: ...
    @property
    def replicas(self) -> tuple[Node, ...]: ...
    @property
    def sentinels(self) -> tuple[Node, ...]: ...
    async def kill(self, node: Node) -> None: ...
    async def pause(self, node: Node) -> None: ...
    async def resume(self, node: Node) -> None: ...
    async def restart(self, node: Node, timeout: float = 10.0) -> None: ...
    async def failover(self, timeout: float = 5.0) -> Node: ...
    async def wait_for_failover(self, old_master: Node, timeout: float = 15.0) -> Node: ...
    async def wait_in_sync(self, timeout: float = 30.0) -> None: ...
    async def command(self, node: Node, *command: Any, timeout: float = 5.0) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """
    Something that the scene did, for the timeline; `at` is of the monotonic clock.
    """

    name: str
    at: float


class Arena:
    """
    The stage of one trial. A scene gets it while the load runs, and the load goes on until it
    returns; everything is measured afterwards.
    """

    def __init__(
        self,
        group: Group,
        history: History,
        *,
        down_after: float,
        writers: Sequence[str] = (),
        close: Callable[[], Awaitable[None]] | None = None,
        patience: float = 15.0,
    ) -> None:
        self.group = group
        self.history = history
        self.down_after = down_after
        self.writers = tuple(writers)
        self.patience = patience
        """Seconds that a scene waits for the client to recover, at most."""
        self.marks: list[Mark] = []
        self.facts: dict[str, float] = {}
        self.old: Node | None = None
        """The master that the scene attacked, for the audit of what still reached it."""
        self._close = close

    def mark(self, name: str) -> float:
        """
        Notes that this happens now; the mark ``fault`` is where the timeline has its zero.
        """
        at = time.monotonic()
        self.marks.append(Mark(name=name, at=at))
        return at

    def marked(self, name: str) -> float | None:
        """
        When the mark of this name was made, the first one if there are several.
        """
        return next((each.at for each in self.marks if each.name == name), None)

    def note(self, name: str, value: float) -> None:
        """
        Adds a figure of the scene's own, for a bar of its own.
        """
        self.facts[name] = value

    async def calm(self, seconds: float) -> None:
        """
        Lets the load run undisturbed.
        """
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """
        Closes the client now, in the middle of the scene; the load makes no further calls.
        """
        if self._close is not None:
            await self._close()

    async def wait_promoted(self, old: Node, timeout: float = 15.0) -> Node:
        """
        The server other than `old` that says it is master, as soon as it does.
        """
        # Listed once: to look at `master` asks the sentinels, and waits for them.
        others = [each for each in (self.group.master, *self.group.replicas) if each is not old]
        async with asyncio.timeout(timeout):
            while True:
                for node in others:
                    if node.awake and await self._is_master(node):
                        return node
                await asyncio.sleep(0.005)

    async def recovered(self, old: Node, *, then: float = 1.0) -> bool:
        """
        Whether every writer has come to write on the successor of `old`, within `patience` seconds.

        What counts is what the new master holds, not what the client acknowledges: that may come
        from the old one. The load goes on for `then` more seconds.
        """
        until = time.monotonic() + self.patience
        try:
            new = await self.wait_promoted(old, self.patience)
        except TimeoutError:
            return False
        if not await self.all_write(new, until - time.monotonic()):
            return False
        await self.calm(then)
        return True

    async def all_write(self, node: Node, timeout: float | None = None) -> bool:
        """
        Whether every writer has come to write on this server, within `timeout` or `patience`.
        """
        until = time.monotonic() + (self.patience if timeout is None else timeout)
        while not await self._all_write_on(node):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _all_write_on(self, node: Node) -> bool:
        begun = time.monotonic()
        await asyncio.sleep(0.2)
        latest = {
            each.task: each.key
            for each in self.history.operations[-2000:]
            if each.acknowledged and each.key.startswith(("set:", "incr:")) and each.began > begun
        }
        keys = [latest[task] for task in self.writers if task in latest]
        if not keys or len(keys) < len(self.writers):
            return False
        try:
            return await self.group.command(node, "EXISTS", *keys) == len(keys)
        except OSError:
            return False

    async def _is_master(self, node: Node) -> bool:
        try:
            reply = await self.group.command(node, "ROLE", timeout=0.5)
        except OSError:
            return False
        return isinstance(reply, list) and reply[0] == "master"
