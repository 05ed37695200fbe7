"""
One RDB over the network, from a server that takes us for a replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sahool_cache.address import Address
from sahool_cache.cli.backup.stream import SYNC, RdbStream, SyncRefused, introduction
from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.packing import pack
from sahool_cache.connection.wire import Wire
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import NetworkDialler

__all__ = ["TransferFailed", "receive"]

SILENCE = 60.0
"""
Seconds without one byte until the server is given up. It sends an empty line every
``repl-ping-replica-period`` (10 s) while it saves, and waits ``repl-diskless-sync-delay`` (5 s).
"""
_LOOK_EVERY = 1.0


class TransferFailed(Exception):
    """
    The RDB did not come, or not all of it; the text says why.

    `permanent` if another attempt at any server would fare no better.
    """

    def __init__(self, why: str, *, permanent: bool = False) -> None:
        super().__init__(why)
        self.permanent = permanent


async def receive(
    settings: RedisSettings,
    server: Address,
    version: str,
    stream: RdbStream,
    *,
    announce: tuple[str, int] | None = None,
    on_progress: Callable[[RdbStream], object] = lambda _: None,
) -> None:
    """
    Feeds that server's RDB to `stream`; raises `TransferFailed`, and `OSError` of its sink.
    """
    dial, _ = NetworkDialler(settings).server(server)
    try:
        wire = await dial(server)
    except DialFailed as error:
        raise TransferFailed(str(error), permanent=error.permanent) from error
    try:
        words = [*introduction(version, announce=announce), SYNC]
        await _Exchange(stream, words, on_progress).run(wire)
    except SyncRefused as error:
        raise _refused(error) from error
    except ConnectionError as error:  # it was over before it began
        raise TransferFailed(str(error)) from error
    finally:
        wire.cut()


class _Exchange:
    """
    What is said to the server, and until when it is listened to.
    """

    def __init__(
        self,
        stream: RdbStream,
        words: list[tuple[str, ...]],
        on_progress: Callable[[RdbStream], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._words = words
        self._on_progress = on_progress
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._heard_at = self._loop.time()
        self._said = 0

    async def run(self, wire: Wire) -> None:
        self._transport = wire.attach(self._received, self._lost)
        self._say_next()
        try:
            while not self._done.done():
                await asyncio.wait({self._done}, timeout=_LOOK_EVERY)
                if self._loop.time() - self._heard_at > SILENCE:
                    raise TransferFailed(f"it was silent for {SILENCE:g} s")
            self._done.result()
        finally:
            self._done.cancel()

    def _received(self, data: bytes) -> None:
        # Written to the disk here: no more is read from the network than the disk can take.
        self._heard_at = self._loop.time()
        if self._done.done():
            return
        try:
            self._stream.feed(data)
            self._on_progress(self._stream)
        except (OSError, SyncRefused) as error:
            self._done.set_exception(error)
            return
        if self._stream.complete:
            self._done.set_result(None)
        elif self._stream.replies == self._said < len(self._words):
            self._say_next()

    def _say_next(self) -> None:
        self._transport.write(pack(self._words[self._said]))
        self._said += 1

    def _lost(self, error: BaseException | None) -> None:
        if not self._done.done():
            self._done.set_exception(
                TransferFailed(f"the connection was lost ({error or 'closed'})")
            )


def _refused(error: SyncRefused) -> TransferFailed:
    told = str(error)
    if told.startswith("NOPERM"):
        needs = "the user needs the rights +psync +replconf"
        return TransferFailed(f"{needs} ({told})", permanent=True)
    return TransferFailed(told)
