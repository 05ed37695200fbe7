"""
One multiplexed connection: every command of an event-loop tick in one write, replies in order.

A caller gets a future and awaits it. What was written stays in the queue until its reply came,
also when the caller has gone, so that no reply ever reaches another's caller.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from sahool_cache.connection.entries import Group, NoSweep, Timed
from sahool_cache.connection.faults import Expired, LaneLost, WentQuiet
from sahool_cache.connection.replies import Replies
from sahool_cache.connection.wire import Wire

__all__ = ["BULKY", "LONG", "Lane"]

SWEEP = 0.02
"""Seconds between two looks at what is overdue, while replies are due."""

HIGH_WATER, BULKY = 4 << 20, 16 << 10
"""Bytes waiting to be sent above which new callers wait, and those of a command that is written
without being joined to others, so that the callers after it see the queue grow: joining such ones
saves no time, and a tick of ten thousand callers would hold all of their values three times."""

LONG = 64 << 10
"""Bytes of a reply that is still coming in from which on it is a long one."""

CROWD, STALLED = 1000, 1.0
"""Replies that are due from which on they are a queue, and seconds without one after which nobody
can tell how long it takes. Replies come in bursts: a server answers a whole read at once."""


class Lane:
    """
    Commands in, replies out, over one connection that many callers share.

    `budget` is the default seconds a reply may take, `quiet_after` the seconds of silence that
    make the server suspect, `silence_limit` those after which the connection is given up.
    While it is `gathering`, what is submitted joins the write at the end of this tick of the loop;
    `on_flush` hears of that. `spoke_at` is when the latest command was submitted, `heard_at` when
    the latest byte came, to the tick: so that callers need no clock of their own. `bulk` means
    that a long reply is still coming in, `quiet` that nothing has come since `quiet_since`.
    """

    __slots__ = (
        "__weakref__", "_age", "_buffer", "_create_future", "_expect", "_hold", "_limit", "_loop",
        "_lost_waiter", "_now", "_partial", "_progress", "_queue", "_received", "_replies",
        "_samples", "_sweeper", "_transport", "_wire", "_write", "budget", "bulk", "burst",
        "client_id", "congested", "due", "gathering", "heard_at", "lost", "on_change", "on_flush",
        "on_push", "opened_at", "quiet", "quiet_after", "quiet_since", "role", "silence_limit",
        "spoke_at",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        *,
        budget: float,
        quiet_after: float,
        silence_limit: float,
        decode: bool = False,
        limit: int = 100_000,
        on_change: Callable[[Lane], None] = lambda _lane: None,
        on_push: Callable[[list[Any]], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        replies = Replies(decode=decode, on_push=self._heard if on_push is not None else None)
        self._replies = replies
        self._queue = replies.queue
        self._loop = loop
        self._now = loop.time
        self._create_future = loop.create_future
        self._buffer: list[bytes] = []
        self._expect, self._hold = self._queue.append, self._buffer.append
        self.due = self._queue  # to be counted without a call
        self.gathering = False
        self._sweeper: asyncio.TimerHandle | NoSweep | None = (
            NoSweep() if silence_limit == float("inf") else None
        )
        self._samples: deque[tuple[float, int]] = deque()
        self._received = 0
        self._progress: tuple[int, int] | None = None
        self.quiet_since = 0.0
        self._age = 0.0
        self._limit = limit
        self._lost_waiter: asyncio.Future[None] = loop.create_future()
        self.budget = budget
        self.quiet_after = quiet_after
        self.silence_limit = silence_limit
        self.on_change = on_change
        self.on_flush: Callable[[Lane], None] | None = None
        self.on_push = on_push
        self.role = wire.role
        self.client_id = wire.client_id
        self.opened_at = self.spoke_at = self.heard_at = loop.time()
        self._partial = 0
        self.burst = 0
        self.bulk = False
        self.quiet = False
        self.congested = False
        self.lost: str | None = None
        self._wire = wire  # asyncio's protocol holds the wire's stream reader weakly
        self._transport = wire.attach(self._on_data, self._on_lost)
        self._write = self._transport.write

    @property
    def in_flight(self) -> int:
        """
        How many replies are due.
        """
        return len(self._queue)

    @property
    def answered(self) -> int:
        """
        How many replies have come.
        """
        return self._replies.answered

    @property
    def usable(self) -> bool:
        """
        Whether a new command may be written now.
        """
        return self.lost is None and not self.quiet and not self.congested

    @property
    def expected_wait(self) -> float:
        """
        Seconds that a new call would stand in the queue: as long as its head has, while replies
        keep coming; 0 where there is no crowd, or where nobody can tell.
        """
        return self._age if len(self._queue) >= CROWD else 0.0

    def submit(self, packed: bytes) -> asyncio.Future[Any]:
        """
        The future reply to one packed command. Nothing is awaited, so a call that was made is sent.
        """
        future = self._create_future()
        if self.gathering and len(packed) < BULKY:  # nothing more to decide in this tick
            self._hold(packed)
            self._expect(future)
        elif self._may_write(future):
            self._expect(future)
            self._say(packed)
        return future

    def submit_as(self, packed: bytes, kind: type[Timed]) -> Any:
        """
        Like `submit`, for a reply that is read in its own way.
        """
        future = kind(loop=self._loop)
        if self._may_write(future):
            self._replies.expect(future)
            self._say(packed)
        return future

    def submit_group(
        self, chunks: Iterable[bytes], need: int, flips: frozenset[int] = frozenset()
    ) -> asyncio.Future[list[Any]]:
        """
        The future replies to several commands, written one after the other with nothing between.
        """
        future: asyncio.Future[list[Any]] = self._create_future()
        if not self._may_write(future):
            return future
        self._replies.expect(Group(future, need, flips))
        try:
            self._flush()
            for chunk in chunks:
                self._write(chunk)
            self._note_congestion()
        except Exception as error:  # noqa: BLE001  # part of it was sent: nobody may go on
            self.abort(f"not written as a whole ({type(error).__name__})")
        return future

    def take_back(self, future: asyncio.Future[Any]) -> None:
        """
        Forgets a command that was submitted while the lane's loop stood still, in the middle of
        a tick: by another loop, or by a forked child. Nothing of it was written.
        """
        place = self._queue.index(future) - len(self._queue)
        del self._queue[place], self._buffer[place]

    def _may_write(self, future: asyncio.Future[Any]) -> bool:
        if self._sweeper is None:
            if self.lost is not None:
                future.set_exception(LaneLost(self.lost, sent=False))
                return False
            self._start_sweeping()
        return True

    def _say(self, packed: bytes) -> None:
        # An idle line writes at once. Otherwise, or where replies came in bursts (many callers
        # in step), everything said in this tick of the loop shares one system call.
        try:
            if len(packed) >= BULKY and _get_running_loop() is self._loop:
                if not self.gathering:
                    self.spoke_at = self._now()
                self._flush()
                self._write(packed)
                self._note_congestion()
            elif self.gathering:
                self._hold(packed)
            else:
                self.spoke_at = self._now()
                if self.burst > 1 or len(self._queue) > 1:
                    self._hold(packed)
                    self.gathering = True
                    self._loop.call_soon(self._flush_tick)
                else:
                    self._write(packed)
                    if self.on_flush is not None:
                        self.on_flush(self)
        except Exception as error:  # noqa: BLE001  # its reply is due, and nobody knows what was sent
            self.abort(f"not written ({type(error).__name__})")

    def _flush_tick(self) -> None:
        self.gathering = False
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001  # as there
            self.abort(f"not written ({type(error).__name__})")
        self._note_congestion()
        if self.on_flush is not None:
            self.on_flush(self)

    def _flush(self) -> None:
        buffer = self._buffer
        if buffer and self.lost is None:
            packed = b"".join(buffer) if len(buffer) > 1 else buffer[0]
            buffer.clear()
            self._write(packed)

    def _note_congestion(self) -> None:
        congested = (
            len(self._queue) > self._limit
            or self._transport.get_write_buffer_size() > HIGH_WATER
            or self.expected_wait > self.budget
        )
        if congested is not self.congested:
            self.congested = congested
            self.on_change(self)

    def _on_data(self, data: bytes) -> None:
        self._received += 1
        self.heard_at = self._now()
        if self.quiet:
            self.quiet = False
            self.on_change(self)
        try:
            self.burst = self._replies.take(data)
            self._note_bulk(0 if self.burst else self._partial + len(data))
        except Exception as error:  # noqa: BLE001  # the reader and its queue are out of step: nobody may go on
            self.abort(f"unreadable reply ({type(error).__name__})")

    def _note_bulk(self, partial: int) -> None:
        self._partial = partial
        if (partial >= LONG) is not self.bulk:
            self.bulk = not self.bulk
            if self.on_flush is not None:  # there is another lane to be taken
                self.on_change(self)

    def _heard(self, message: list[Any]) -> None:
        try:
            if self.on_push is not None:
                self.on_push(message)
        except Exception as error:  # noqa: BLE001  # a listener may not take the connection down
            self._loop.call_exception_handler(
                {"message": "A push listener of a lane failed", "exception": error}
            )

    def _start_sweeping(self) -> None:
        if self._sweeper is None:
            self._progress = None
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        queue = self._queue
        if not queue:
            self._sweeper = None
            self._samples.clear()
            self._age = 0.0
            if self.congested:
                self._note_congestion()
            return
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        now = self._now()
        progress = (self._received, self._transport.get_write_buffer_size())
        if progress != self._progress:
            self._progress, self.quiet_since = progress, now
        silent = now - self.quiet_since
        if silent >= self.silence_limit:
            self.abort(f"no byte in {self.silence_limit:g} s while replies were due")
            return
        if silent >= self.quiet_after and not self.quiet:
            self.quiet = True
            self.on_change(self)
        # What was submitted by a sample that is older than the budget is overdue. The age of
        # the head alone would not do: it only counts from when an entry becomes the head.
        while self._samples and self._samples[0][1] <= self.answered:
            self._samples.popleft()
        self._samples.append((now, self.answered + len(queue)))
        self._age = now - self._samples[0][0] if silent < STALLED else 0.0
        if self.congested or len(queue) >= CROWD:
            self._note_congestion()
        due = 0
        while self._samples and self._samples[0][0] <= now - self.budget:
            due = self._samples.popleft()[1] - self.answered
        for entry in list(islice(queue, max(due, 0))):
            if not (entry.done() or isinstance(entry, Timed | Group)):
                entry.set_exception(Expired(f"no reply within {self.budget:g} s"))

    def release_reads(self) -> None:
        """
        Ends every wait on a quiet lane that carries only reads: they can be asked elsewhere.
        """
        for entry in self._queue:
            if not entry.done():
                entry.set_exception(WentQuiet("the replica fell silent"))

    def abort(self, why: str) -> None:
        """
        Cuts the connection at once; who waits on it learns whether the command had left.
        """
        if self.lost is not None:
            return
        self.lost = why
        self._wire.cut()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        entries, unsent = self._replies.clear(), len(self._buffer)
        self._buffer.clear()
        self.gathering = False  # so that the next caller is told
        self.on_change(self)
        for place, entry in enumerate(entries, start=1):
            if not entry.done():
                entry.set_exception(LaneLost(why, sent=place <= len(entries) - unsent))
        if not self._lost_waiter.done():
            self._lost_waiter.set_result(None)

    async def wait_lost(self) -> str:
        """
        Returns when the connection has ended, with the reason.
        """
        await asyncio.shield(self._lost_waiter)
        return self.lost or ""

    def _on_lost(self, error: BaseException | None) -> None:
        self.abort(f"{type(error).__name__}: {error}" if error else "closed by the server")
