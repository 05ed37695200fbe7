"""
Durable writes: what replicas must confirm before it counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from redis.exceptions import ResponseError

from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.packing import pack
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.connection.request import Batch, Single
from sahool_cache.settings import Durability

__all__ = ["Commit", "Committer", "confirm"]

_ROLE = pack((b"ROLE",))


class Commit:
    """
    One durable write: its reply, and then how many replicas have it (`confirmed`, None where the
    server did not say, or `refusal` says why it would not) of those that are `wanted`.
    """

    __slots__ = ("confirmed", "done", "need", "refusal", "reply", "request", "wanted")

    def __init__(self, request: Single | Batch, need: Durability) -> None:
        self.request = request
        self.need: Durability = need
        self.reply: asyncio.Future[Any] | None = None
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.confirmed: int | None = None
        self.refusal: ResponseError | None = None
        self.wanted = 1

    @property
    def sent(self) -> bool:
        """
        Whether it has left.
        """
        return self.reply is not None

    def end(self) -> None:
        """
        Hands the reply on, whoever is still there for it.
        """
        reply = self.reply
        if reply is None or not reply.done():
            error: BaseException | None = LaneLost("the client was closed", sent=self.sent)
            if reply is not None:
                reply.cancel()  # its lane is cut next: asyncio would report an error nobody awaits
        else:
            error = reply.exception()
        if self.done.done():
            return
        if error is not None:
            self.done.set_exception(error)
        elif reply is not None:
            self.done.set_result(reply.result())


async def confirm(lane: Lane, needs: Sequence[Durability], timeout: float) -> tuple[int, list[int]]:
    """
    How many replicas have what was written on this lane, and what each of `needs` comes to.

    One round trip, and one more where all are needed: only the master knows how many that are.
    Raises `LaneLost`, and the error reply to ROLE or WAIT.
    """
    listed = 1
    if "all" in needs:
        role = await lane.submit(_ROLE)
        if not isinstance(role[2], list):
            raise LaneLost("no master any more", sent=True)
        # One that was synced a moment ago is listed, and does not acknowledge yet: offset 0.
        listed = max(1, sum(int(replica[2]) > 0 for replica in role[2]))
    wanted = [listed if need == "all" else need for need in needs]
    wait = pack((b"WAIT", max(wanted), max(1, round(timeout * 1000))))
    return int(await lane.submit(wait)), wanted


class Committer:
    """
    Sends durable writes on a connection of their own: a WAIT blocks all of it. What is called
    while one WAIT is out shares the next one.
    """

    def __init__(
        self,
        pool: ExclusivePool,
        *,
        timeout: float,
        patience: float,
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._patience = patience
        self._start = start
        self._waiting: list[Commit] = []
        self._running = False

    def submit(self, commit: Commit) -> asyncio.Future[Any]:
        """
        The future end of the commit: the request's reply, once the replicas have been asked.
        """
        self._waiting.append(commit)
        if not self._running:
            self._running = True
            self._start(self._run)
        return commit.done

    def release(self, why: str) -> None:
        """
        Ends the wait of what has not been sent yet: it can be sent elsewhere.
        """
        self._fail(LaneLost(why, sent=False))

    def _fail(self, fault: Exception) -> None:
        together, self._waiting = self._waiting, []
        for commit in together:
            if not commit.done.done():
                commit.done.set_exception(fault)

    async def _run(self) -> None:
        fault: Exception = LaneLost("the client was closed", sent=False)
        try:
            while self._waiting:
                connection = await self._pool.borrow()
                try:
                    while self._waiting and not connection.spent:
                        await self._commit_next(connection)
                finally:
                    self._pool.give_back(connection)
        except Exception as error:  # noqa: BLE001  # whatever it was, it is for those who wait
            fault = error
        finally:
            self._running = False
            self._fail(fault)

    async def _commit_next(self, connection: ManagedConnection) -> None:
        if connection.lane is None or connection.role != "master":
            connection.cut()
            raise LaneLost("no master any more", sent=False)
        together, self._waiting = self._waiting, []
        await self._commit(connection.lane, [each for each in together if not each.done.done()])

    async def _commit(self, lane: Lane, together: list[Commit]) -> None:
        for commit in together:
            commit.reply = commit.request.submit(lane)
        try:
            needs: list[Durability] = [commit.need for commit in together]
            async with asyncio.timeout(self._timeout + self._patience):
                confirmed, wanted = await confirm(lane, needs, self._timeout)
            for commit, want in zip(together, wanted, strict=True):
                commit.confirmed, commit.wanted = confirmed, want
        except TimeoutError:
            lane.abort("no answer to WAIT")
        except ResponseError as error:
            if not str(error).startswith("UNBLOCKED"):  # that was us: a failover is near
                for commit in together:
                    commit.refusal = error
        except Exception:  # noqa: BLE001, S110  # whatever the reason, nobody has confirmed
            pass
        finally:
            for commit in together:
                commit.end()
