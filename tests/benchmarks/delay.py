"""
A proxy that makes a network longer: what comes in goes out after a while, all of it, in order.

`python -m tests.benchmarks.delay SECONDS HOST:PORT ...` prints where it listens for each of these,
as JSON, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from sahool_cache.address import Address

__all__ = ["Delay", "delayed", "new_loop"]


def new_loop() -> asyncio.AbstractEventLoop:
    """
    A loop whose timers are exact: those of `epoll` and of uvloop are whole milliseconds.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class Delay:
    """
    Lets things happen `seconds` later, in the order in which they were asked for.

    As everything waits equally long, one queue and one timer do for all connections; nothing holds
    up what is behind it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, _End, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, end: _End, data: bytes | None) -> None:
        """
        Hands `data` to that end when its time has come; None means that nothing more will follow.
        """
        if not self.seconds:
            end.give(data)
            return
        self._queue.append((self._loop.time() + self.seconds, end, data))
        if self._timer is None:
            self._timer = self._loop.call_later(self.seconds, self._due)

    def _due(self) -> None:
        queue, now = self._queue, self._loop.time()
        while queue and queue[0][0] <= now:
            _, end, data = queue.popleft()
            end.give(data)
        self._timer = self._loop.call_at(queue[0][0], self._due) if queue else None


class _End(asyncio.Protocol):
    """
    One end of a connection through the proxy.
    """

    def __init__(self, delay: Delay) -> None:
        self._delay = delay
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes | None] = []
        self._gone = asyncio.Event()
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        early, self._early = self._early, []
        for data in early:
            self.give(data)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self._delay.put(self.other, data)

    def eof_received(self) -> bool:
        return False  # closes this end, and connection_lost tells the other

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._gone.set()
        if self.other is not None:
            self._delay.put(self.other, None)

    def give(self, data: bytes | None) -> None:
        if self._transport is None:
            self._early.append(data)
        elif data is None:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write(data)

    async def reset(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()


class _Listener:
    """
    Joins each connection that is made to one of its own to the target.
    """

    def __init__(self, target: Address, delay: Delay) -> None:
        self._target, self._delay = target, delay
        self._ends: set[_End] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    def __call__(self) -> _End:
        near, far = _End(self._delay), _End(self._delay)
        near.other, far.other = far, near
        self._ends |= {near, far}
        task = asyncio.create_task(self._dial(near, far), name=f"dial {self._target}")
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return near

    async def _dial(self, near: _End, far: _End) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: far, *self._target)
        except OSError:
            await near.reset()

    async def aclose(self) -> None:
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        await asyncio.gather(*(end.reset() for end in self._ends))


@asynccontextmanager
async def delayed(target: Address, seconds: float) -> AsyncIterator[Address]:
    """
    Where to connect for `target`, with round trips that take `seconds` more.
    """
    loop = asyncio.get_running_loop()
    listener = _Listener(target, Delay(seconds / 2))
    server = await loop.create_server(listener, "127.0.0.1", 0, backlog=1024)
    try:
        yield Address(*server.sockets[0].getsockname())
    finally:
        server.close()
        await listener.aclose()


async def _serve(seconds: float, targets: Sequence[Address]) -> None:
    async with AsyncExitStack() as stack:
        ways = {
            str(target): str(await stack.enter_async_context(delayed(target, seconds)))
            for target in targets
        }
        print(json.dumps(ways), flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """
    Reads the arguments and serves.
    """
    targets = []
    for text in sys.argv[2:]:
        host, _, port = text.rpartition(":")
        targets.append(Address(host, int(port)))
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(float(sys.argv[1]), targets))


if __name__ == "__main__":
    main()
