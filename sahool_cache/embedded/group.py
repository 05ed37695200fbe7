"""
The embedded group: a real master, its replicas and sentinels, and faults on demand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from redis.exceptions import ResponseError

from sahool_cache.embedded import faults
from sahool_cache.embedded.agreement import (
    View,
    disagreement,
    no_master,
    out_of_sync,
    until,
    views,
    views_now,
)
from sahool_cache.embedded.binary import find_server
from sahool_cache.embedded.config import GroupConfig, Place, Setting
from sahool_cache.embedded.errors import EmbeddedError
from sahool_cache.embedded.guard import Guard
from sahool_cache.embedded.launch import Members, launch
from sahool_cache.embedded.node import Node
from sahool_cache.embedded.wire import Argument, Reply
from sahool_cache.settings import RedisSettings

__all__ = ["EmbeddedSentinel"]

_ATTEMPTS = 5


class EmbeddedSentinel:
    """
    A Sentinel group of real processes on loopback, for tests and demonstrations.

    Starts on `async with` or `open`, in about 0.3 seconds, and returns when every sentinel sees
    the master, all replicas (in sync) and one another. Nothing of it outlives this process.
    Durations are in seconds; a `down_after` below 1 also makes the sentinels ping more often, as it
    must. `server_config` adds lines to the servers' configuration or replaces
    ours: `{"min-replicas-to-write": 1}`. `sentinel_debug` sets what `SENTINEL DEBUG` can set, in
    milliseconds: with `{"info-period": 1000, "publish-period": 500}` an ex-master that comes back
    is a replica again after 3 s, not 10. There is no persistence: a master that is restarted
    before it was failed over comes back empty. `places` says where the members run, master first.
    """

    __slots__ = ("_binary", "_config", "_guard", "_members", "_start_timeout")

    def __init__(  # noqa: PLR0913  # one word each is how tests want to say it
        self,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        password: str | None = None,
        sentinel_password: str | None = None,
        master_name: str = "sahool-master",
        down_after: float = 1.0,
        failover_timeout: float = 10.0,
        parallel_syncs: int | None = None,
        quorum: int | None = None,
        server_config: Mapping[str, Setting] | None = None,
        sentinel_debug: Mapping[str, int] | None = None,
        places: Sequence[Place] = (),
        server: str | os.PathLike[str] | None = None,
        start_timeout: float = 20.0,
    ) -> None:
        self._config = GroupConfig(
            replicas=replicas,
            sentinels=sentinels,
            password=password,
            sentinel_password=sentinel_password,
            master_name=master_name,
            down_after=down_after,
            failover_timeout=failover_timeout,
            parallel_syncs=parallel_syncs,
            quorum=quorum,
            server_config=dict(server_config or {}),
            sentinel_debug=dict(sentinel_debug or {}),
            places=tuple(places),
        )
        self._binary = server
        self._start_timeout = start_timeout
        self._guard: Guard | None = None
        self._members: Members | None = None

    def __repr__(self) -> str:
        name = self._config.master_name
        if self._members is None:
            return f"<EmbeddedSentinel {name}: closed>"
        nodes = ", ".join(map(repr, (*self._members.servers, *self._members.sentinels)))
        return f"<EmbeddedSentinel {name}: {nodes}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """
        Starts the group; raises `EmbeddedError` with the tail of a log if that fails.
        """
        if self._guard is not None:
            raise EmbeddedError("the group is open already")
        binary = find_server(self._binary)
        for attempt in range(1, _ATTEMPTS + 1):
            guard = self._guard = Guard()
            try:
                members = await launch(self._config, binary, guard, self._start_timeout)
            except EmbeddedError as error:
                self._close()
                # Between our look at the port and the server's, somebody else took it.
                if "Address already in use" not in str(error) or attempt == _ATTEMPTS:
                    raise
            except BaseException:
                self._close()
                raise
            else:
                self._members = members
                return

    async def aclose(self) -> None:
        """
        Kills and reaps every process and removes the temporary directory; may be called again.
        """
        self._close()

    def _close(self) -> None:
        guard, self._guard, self._members = self._guard, None, None
        if guard is not None:
            guard.close()

    @property
    def settings(self) -> RedisSettings:
        """
        Settings for a client of this group; the environment and `.env` have no say in them.
        """
        return RedisSettings.isolated(
            sentinels=[sentinel.address for sentinel in self.sentinels],
            master_name=self._config.master_name,
            password=self._config.password,
            sentinel_password=self._config.sentinel_password,
        )

    @property
    def master(self) -> Node:
        """
        The master that the newest sentinel names, dead or alive, asked at this moment.

        Needs no `await`: it blocks for about a millisecond. If no sentinel answers, it is the last
        one known.
        """
        members = self._open_members()
        return self._named(views_now(members.sentinels, self._config.master_name))

    @property
    def replicas(self) -> tuple[Node, ...]:
        """
        The servers other than `master`, dead ones too; an ex-master is one from the switch on.
        """
        master = self.master
        return tuple(node for node in self._open_members().servers if node is not master)

    @property
    def sentinels(self) -> tuple[Node, ...]:
        """
        All sentinels, dead ones too.
        """
        return self._open_members().sentinels

    async def kill(self, node: Node) -> None:
        """
        Kills the node with SIGKILL; returns when its process is gone.
        """
        await faults.kill(self._own(node))

    async def kill_master(self) -> Node:
        """
        The master, killed with SIGKILL.
        """
        node = self.master
        await self.kill(node)
        return node

    async def pause(self, node: Node) -> None:
        """
        Makes the node hang (SIGSTOP): its sockets stay open and nothing answers.
        """
        faults.pause(self._own(node))

    async def resume(self, node: Node) -> None:
        """
        Lets a paused node go on (SIGCONT), with the roles it remembers.
        """
        faults.resume(self._own(node))

    async def restart(self, node: Node, timeout: float = 10.0) -> None:
        """
        Starts a dead, paused or running node again; returns when it serves.

        It has the port and the configuration file that it had, as it or a sentinel rewrote it last:
        an ex-master comes back as a master, until the sentinels demote it about 10 s later.
        """
        await faults.restart(self._own(node), timeout)

    async def failover(self, timeout: float = 5.0) -> Node:
        """
        The master that a sentinel has agreed to replace; `wait_for_failover` gives the new one.

        Raises `EmbeddedError` if for `timeout` no sentinel agrees.
        """
        members = self._open_members()
        name = self._config.master_name
        address = await faults.request_failover(members.sentinels, name, timeout)
        return next(node for node in members.servers if node.address == address)

    async def wait_for_failover(self, old_master: Node, timeout: float = 15.0) -> Node:
        """
        The master that has replaced `old_master`: named by a sentinel, and serving as master.

        Raises `TimeoutError`. The other sentinels may need another second: see `wait_in_sync`.
        """
        members = self._open_members()
        master = self._own(old_master)

        async def unreplaced() -> str | None:
            nonlocal master
            master = self._named(await views(members.sentinels, self._config.master_name))
            if master is old_master:
                return f"no sentinel has replaced {old_master!r}"
            return await no_master(master)

        await until(unreplaced, timeout)
        return master

    async def wait_in_sync(self, timeout: float = 30.0) -> None:
        """
        Returns when all sentinels see the same master and replicas, and these are in sync.

        Dead and paused nodes are left out. Raises `TimeoutError` with what is still missing.
        An ex-master that is alive makes this last 10 s: Sentinel takes that long to demote it, and
        up to 10 s more to list its link as up, which is not waited for.
        """
        await until(self._unsettled, timeout)

    async def command(self, node: Node, *command: Argument, timeout: float = 5.0) -> Reply:
        """
        The node's reply to one raw command, on a connection of its own, logged in.

        Raises redis-py's `ResponseError` for an error reply, `OSError` for none.
        """
        (reply,) = await self._own(node).ask(command, timeout=timeout)
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    async def _unsettled(self) -> str | None:
        members = self._open_members()
        name = self._config.master_name
        known = await views(members.sentinels, name)
        if not known:
            return "no sentinel answers"
        master = self._named(known)
        replicas = [node for node in members.servers if node.awake and node is not master]
        sentinels = [node for node in members.sentinels if node.awake]
        return await out_of_sync(master, replicas) or await disagreement(
            sentinels, name, master, replicas, links=False
        )

    def _named(self, known: Sequence[View]) -> Node:
        members = self._open_members()
        newest = known[0].master if known else None
        if any(node.address == newest for node in members.servers):
            for node in members.servers:
                node.role = "master" if node.address == newest else "replica"
        return next(node for node in members.servers if node.role == "master")

    def _own(self, node: Node) -> Node:
        members = self._open_members()
        if not any(node is each for each in (*members.servers, *members.sentinels)):
            raise EmbeddedError(f"{node!r} is not a node of this group")
        return node

    def _open_members(self) -> Members:
        if self._members is None:
            raise EmbeddedError("the group is not open")
        return self._members
