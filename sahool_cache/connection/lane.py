"""
One multiplexed connection: every command of an event-loop tick in one write, replies in order.

A caller gets a future and awaits it. What was written stays in the queue until its reply came,
also when the caller has gone, so that no reply ever reaches another's caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import hiredis

from sahool_cache.connection.entries import Flipped, Group, NoSweep, Subscribed, Timed, read_error
from sahool_cache.connection.faults import Expired, LaneLost, WentQuiet
from sahool_cache.connection.wire import Wire

__all__ = ["Lane"]

SWEEP = 0.02
"""Seconds between two looks at what is overdue, while replies are due."""

HIGH_WATER = 4 << 20
"""Bytes waiting to be sent above which new callers wait."""

CROWD, STALLED = 1000, 1.0
"""Replies that are due from which on they are a queue, and seconds without one after which nobody
can tell how long it takes. Replies come in bursts: a server answers a whole read at once."""

_NOT_READY = object()


class Lane:
    """
    Commands in, replies out, over one connection that many callers share.

    `budget` is the default seconds a reply may take, `quiet_after` the seconds of silence that
    make the server suspect, `silence_limit` those after which the connection is given up.
    """

    __slots__ = (
        "__weakref__", "_age", "_buffer", "_create_future", "_feed", "_gets", "_gets_flipped",
        "_limit", "_loop", "_lost_waiter", "_now", "_progress", "_queue", "_quiet_since",
        "_received", "_samples", "_scheduled", "_sweeper", "_transport", "_wire", "_write",
        "answered",
        "budget", "burst", "client_id", "congested", "lost", "on_change", "on_push", "opened_at",
        "quiet", "quiet_after", "role", "silence_limit",
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
        if on_push is not None and decode:
            # hiredis does not say whether it was a push or a reply that it could not decode.
            raise ValueError("a lane that listens takes bytes")
        loop = asyncio.get_running_loop()
        reader = hiredis.Reader(
            encoding="utf-8",
            notEnoughData=_NOT_READY,
            protocolError=ConnectionError,
            replyError=read_error,
        )
        as_bytes: Callable[[], Any] = partial(reader.gets, False)  # noqa: FBT003
        self._feed = reader.feed
        self._gets = reader.gets if decode else as_bytes
        self._gets_flipped = as_bytes if decode else reader.gets
        self._loop = loop
        self._now = loop.time
        self._create_future = loop.create_future
        self._queue: deque[Any] = deque()
        self._buffer: list[bytes] = []
        self._scheduled = False
        self._sweeper: asyncio.TimerHandle | NoSweep | None = (
            NoSweep() if silence_limit == float("inf") else None
        )
        self._samples: deque[tuple[float, int]] = deque()
        self._received = 0
        self._progress: tuple[int, int] | None = None
        self._quiet_since = 0.0
        self._age = 0.0
        self._limit = limit
        self._lost_waiter: asyncio.Future[None] = loop.create_future()
        self.budget = budget
        self.quiet_after = quiet_after
        self.silence_limit = silence_limit
        self.on_change = on_change
        self.on_push = on_push
        self.role = wire.role
        self.client_id = wire.client_id
        self.opened_at = loop.time()
        self.answered = 0
        self.burst = 0
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
        self._enqueue(packed, future)
        return future

    def submit_as(self, packed: bytes, kind: type[Timed]) -> Any:
        """
        Like `submit`, for a reply that is read in its own way.
        """
        if self.on_push is not None and issubclass(kind, Flipped):
            raise ValueError("a lane that listens takes bytes")
        future = kind(loop=self._loop)
        self._enqueue(packed, future)
        return future

    def submit_group(
        self, chunks: Sequence[bytes], need: int, flips: frozenset[int] = frozenset()
    ) -> asyncio.Future[list[Any]]:
        """
        The future replies to several commands, written one after the other with nothing between.
        """
        if flips and self.on_push is not None:
            raise ValueError("a lane that listens takes bytes")
        future: asyncio.Future[list[Any]] = self._create_future()
        if self.lost is not None:
            future.set_exception(LaneLost(self.lost, sent=False))
            return future
        self._start_sweeping()
        self._flush()
        self._queue.append(Group(future, need, flips))
        for chunk in chunks:
            self._write(chunk)
        self._note_congestion()
        return future

    def _enqueue(self, packed: bytes, entry: Any) -> None:
        if self._sweeper is None:
            if self.lost is not None:
                entry.set_exception(LaneLost(self.lost, sent=False))
                return
            self._start_sweeping()
        # An idle line writes at once. Otherwise, or where replies came in bursts (many callers
        # in step), everything said in this tick of the loop shares one system call.
        if self._scheduled:
            self._buffer.append(packed)
        elif self._queue or self.burst > 1:
            self._buffer.append(packed)
            self._scheduled = True
            self._loop.call_soon(self._flush_tick)
        else:
            self._write(packed)
        self._queue.append(entry)

    def _flush_tick(self) -> None:
        self._scheduled = False
        self._flush()
        self._note_congestion()

    def _flush(self) -> None:
        buffer = self._buffer
        if buffer and self.lost is None:
            self._write(b"".join(buffer) if len(buffer) > 1 else buffer[0])
            buffer.clear()

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
        if self.quiet:
            self.quiet = False
            self.on_change(self)
        try:
            self._feed(data)
            before = self.answered
            self._drain()
            self.burst = self.answered - before
        except Exception as error:  # noqa: BLE001  # the reader and its queue are out of step: nobody may go on
            self.abort(f"unreadable reply ({type(error).__name__})")

    def _drain(self) -> None:
        queue, gets = self._queue, self._gets
        while True:
            head: Any = queue[0] if queue else None
            kind = head.__class__
            flipped = kind is Flipped or (kind is Group and len(head.replies) in head.flips)
            try:
                reply: Any = self._gets_flipped() if flipped else gets()
            except UnicodeDecodeError as error:  # that reply's own trouble; the reader is in step
                reply = error
            if reply is _NOT_READY:
                return
            if reply.__class__ is hiredis.PushNotification:
                if not self._push(reply, head):
                    continue
                reply = None
            elif head is None:
                raise ConnectionError("a reply that nobody asked for")
            if kind is Group:
                head.replies.append(reply)
                if len(head.replies) < head.need:
                    continue
                head, reply = head.future, head.replies
            queue.popleft()
            self.answered += 1
            if not head.done():
                if isinstance(reply, Exception):
                    head.set_exception(reply)
                else:
                    head.set_result(reply)

    def _push(self, message: list[Any], head: Any) -> bool:
        """
        Hands a push on; whether it is the confirmation that the head of the queue waits for.
        """
        if head.__class__ is Subscribed and _text(message[0]).endswith("subscribe"):
            return True
        if self.on_push is not None:
            try:
                self.on_push(message)
            except Exception as error:  # noqa: BLE001  # a listener may not take the connection down
                self._loop.call_exception_handler(
                    {"message": "A push listener of a lane failed", "exception": error}
                )
        return False

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
            self._progress, self._quiet_since = progress, now
        silent = now - self._quiet_since
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
        entries, unsent = list(self._queue), len(self._buffer)
        self._queue.clear()
        self._buffer.clear()
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


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
