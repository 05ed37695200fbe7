"""
Subscriptions that follow the master: lost connections are made anew and subscribed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self, cast

from redis.asyncio.client import Monitor as RedisMonitor
from redis.asyncio.client import PubSub as RedisPubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from sahool_cache.caller import Caller
from sahool_cache.connection.packing import pack
from sahool_cache.errors import ClientClosedError, LoginFailedError, UnavailableError
from sahool_cache.policy.deadline import Deadline
from sahool_cache.routed_pool import RoutedPool

__all__ = ["Monitor", "PubSub"]

PING_EVERY = 2.0
"""Seconds of silence after which a subscription asks whether the server is still there."""

_PING = "sahool-cache-pubsub-ping"
_LOST = (RedisConnectionError, RedisTimeoutError, OSError)
_UNREADABLE = (InvalidResponse, ValueError, IndexError)
"""How redis-py's parser stumbles over bytes that are no reply."""


class PubSub(RedisPubSub):
    """
    redis-py's PubSub. `listen()` and `get_message(timeout=None)` wait without end, and follow
    a failover; what is published between the cut and the new subscription is not received,
    as with every Redis subscription.
    """

    def __init__(self, caller: Caller, **options: Any) -> None:
        self._pool = RoutedPool(caller)
        self._caller = caller
        self._pinged_at: float | None = None
        self._connecting = asyncio.Lock()
        self._returning: asyncio.Task[None] | None = None
        self._subscribing: asyncio.Task[Any] | None = None
        super().__init__(cast("Any", self._pool), **options)
        self._pings = {_PING, _PING.encode()}

    async def connect(self) -> None:
        """
        Makes sure of a connection; a new one is subscribed to everything again.
        """
        await self._connect(self._caller.options.deadline())

    async def _connect(self, deadline: Deadline) -> None:
        if self._connected():
            return
        async with self._connecting:
            if self._connected():
                return
            await self._drop()
            connection = await self._pool.get_connection(deadline=deadline)
            self.connection = connection
            self._pinged_at = None
            if self.push_handler_func is not None:
                parser = connection._parser  # noqa: SLF001  # where redis-py keeps it
                parser.set_pubsub_push_handler(self.push_handler_func)
            self._subscribing = asyncio.current_task()
            try:
                await self.on_connect(connection)
            except BaseException:
                await self._drop()  # subscribed in part is not subscribed
                raise
            finally:
                self._subscribing = None

    def _connected(self) -> bool:
        return self.connection is not None and self.connection.is_connected

    async def _return(self) -> None:
        """
        Connects and subscribes again, however long it takes; ends with an error only where
        waiting cannot help.
        """
        while True:
            try:
                await self._connect(self._caller.options.deadline())
            except (ClientClosedError, LoginFailedError):
                raise
            except _LOST:
                await asyncio.sleep(0.05)
            else:
                return

    async def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await self._pool.release(cast("Any", connection))

    async def execute_command(self, *args: Any) -> Any:
        """
        Sends a subscription command; sent again if the connection is lost meanwhile.
        """
        packed = pack(args)  # refused before anything is sent, or even connected
        if self._subscribing is not None and self._subscribing is asyncio.current_task():
            # A new connection is subscribed on: whoever made it sees to what goes wrong.
            await cast("Any", self.connection).send_packed_command(packed, check_health=False)
            return None
        deadline = self._caller.options.deadline()
        while True:
            try:
                await self._connect(deadline)
                connection = cast("Any", self.connection)
                await connection.send_packed_command(packed, check_health=False)
            except UnavailableError:
                raise
            except _LOST as fault:
                await self._drop()
                if deadline.passed:
                    raise UnavailableError(f"{args[0]} could not be sent: {fault}") from fault
                await asyncio.sleep(min(0.01, deadline.left))
            else:
                return None

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        """
        The next message as the server sent it, or None when none came in `timeout` seconds.
        """
        if not (self.subscribed or self._connected()):
            raise RuntimeError("not connected: call subscribe() or psubscribe() first")
        deadline = Deadline(float("inf") if block else max(timeout, 0.0))
        while True:
            if not (self.subscribed or self._connected()):  # closed meanwhile
                return None
            if not self._connected() and not await self._returned(deadline):
                return None
            connection = cast("Any", self.connection)
            try:
                response = await connection.read_response(
                    timeout=min(deadline.left, PING_EVERY),
                    disconnect_on_error=False,
                    push_request=True,
                )
            except UnicodeDecodeError:  # this message's own trouble; the next one can be read
                raise
            except (*_LOST, *_UNREADABLE):
                await self._drop()
                continue
            if response is None:
                if deadline.passed:
                    return None
                await self._check_alive()
                continue
            self._pinged_at = None
            if not self._is_pong(response):
                return response

    async def _returned(self, deadline: Deadline) -> bool:
        """
        Whether the connection is back in time. It is made in a task of its own, so that a
        caller who polls with short timeouts gets there as well.
        """
        if self._returning is None:
            self._returning = asyncio.create_task(self._return(), name="sahool_cache.pubsub")
        returning = self._returning
        endless = deadline.at == float("inf")
        done, _ = await asyncio.wait({returning}, timeout=None if endless else deadline.left)
        if done:
            if self._returning is returning:
                self._returning = None
            if returning.cancelled():  # closed meanwhile
                return False
            returning.result()
        return bool(done)

    async def _check_alive(self) -> None:
        """
        Asks a silent server, and gives the connection up when it does not answer: a hung
        server never closes it.
        """
        loop = asyncio.get_running_loop()
        connection = cast("Any", self.connection)
        if connection is None or not connection.is_connected:
            return
        if self._pinged_at is None:
            self._pinged_at = loop.time()
            try:
                await connection.send_command("PING", _PING, check_health=False)
            except _LOST:
                await self._drop()
        elif loop.time() - self._pinged_at > PING_EVERY:
            await self._drop()

    def _is_pong(self, response: Any) -> bool:
        if isinstance(response, str | bytes):
            return response in self._pings
        return (
            isinstance(response, list)
            and len(response) == 2
            and isinstance(response[1], str | bytes)
            and response[1] in self._pings
        )

    async def check_health(self) -> None:
        """
        Nothing to do: a silent connection is asked while it is read.
        """

    async def aclose(self) -> None:
        """
        Ends every subscription and hands the connection back.
        """
        self.channels, self.patterns, self.shard_channels = {}, {}, {}  # who listens ends now
        returning, self._returning = self._returning, None
        if returning is not None:
            returning.cancel()
            await asyncio.wait({returning})
        await RedisPubSub.aclose(self)

    async def listen(self) -> AsyncIterator[Any]:
        """
        Every message, for as long as there is a subscription.
        """
        while self.subscribed:
            response = await self.parse_response(block=True)
            message = None if response is None else await self.handle_message(response)  # type: ignore[no-untyped-call]
            if message is not None:
                yield message


class Monitor(RedisMonitor):
    """
    redis-py's MONITOR of the current master; it ends when that master is lost.
    """

    def __init__(self, caller: Caller) -> None:
        super().__init__(cast("Any", RoutedPool(caller)))

    async def __aenter__(self) -> Self:
        try:
            await super().__aenter__()  # type: ignore[no-untyped-call]
        except BaseException:
            await self._hand_back()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hand_back()

    async def _hand_back(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await self.connection_pool.release(connection)
