"""
Live connections that log in again, in the midst of what goes over them, when credentials change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from redis.exceptions import RedisError

from sahool_cache.connection.faults import LaneLost, without_arguments
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.login import Credentials, CredentialsMissing, Login
from sahool_cache.connection.packing import pack
from sahool_cache.events import CredentialsRefused, CredentialsRenewed
from sahool_cache.routing.sentinel_link import Channel
from sahool_cache.wiring.fleet import Fleet
from sahool_cache.wiring.rights import Emit

__all__ = ["Reauthentication"]

LOOK, SELDOM = 1.0, 30.0
"""Seconds between two looks at what has changed, and at most between two attempts that fail."""

Live = Lane | Channel


@dataclass(slots=True, kw_only=True)
class _Side:
    """
    The data servers or the sentinels: their login, and which connections have the newest of it.
    """

    on: str
    login: Login
    live: Callable[[], Iterator[Live]]
    version: int = 0
    done: WeakSet[Live] = field(default_factory=WeakSet)
    announced: bool = False
    failures: int = 0
    again_at: float = 0.0
    told: bool = False

    def catch_up(self) -> None:
        """
        Begins anew where there are newer credentials than those that connections are told of. Of
        what fails is told once until it succeeds.
        """
        if self.version != self.login.version:
            self.version, self.done = self.login.version, WeakSet()
            self.failures, self.again_at = 0, 0.0
            self.announced = False


class Reauthentication:
    """
    Sends AUTH over every lane and to every sentinel that does not have the newest credentials. What
    is under way is not disturbed: its replies come before and after that of AUTH. A refusal leaves
    a connection logged in as it was.

    Exclusive connections are left alone: the pool makes a new one where an old one would be lent.
    """

    def __init__(self, fleet: Fleet, logins: tuple[Login, Login], tell: Emit) -> None:
        self._fleet = fleet
        self._tell = tell
        self._sides = (
            _Side(on="data", login=logins[0], live=self._lanes),
            _Side(on="sentinel", login=logins[1], live=self._channels),
        )
        self._loop = asyncio.get_running_loop()
        self._pushed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def _lanes(self) -> Iterator[Live]:
        for node in self._fleet.nodes():
            yield from node.lanes

    def _channels(self) -> Iterator[Live]:
        for link in self._fleet.watcher.links.values():
            if link.channel is not None and link.connected:
                yield link.channel

    async def run(self) -> None:
        """
        Renews whenever a file has changed or a provider says so, until cancelled.
        """
        self._listen()
        while True:
            self._pushed.clear()
            for side in self._sides:
                side.login.look()
                side.catch_up()
                if side.version and side.again_at <= self._loop.time():
                    await self._renew(side)
            # A connection that was under way during a change may have the old ones: look again.
            moves = any(side.version or side.login.file is not None for side in self._sides)
            try:
                async with asyncio.timeout(LOOK if moves else None):
                    await self._pushed.wait()
            except TimeoutError:
                pass

    async def now(self) -> bool:
        """
        Asks for the credentials and renews at once; whether every connection has taken them.
        """
        for side in self._sides:
            side.login.version += 1
            side.catch_up()
        taken = [await self._renew(side) for side in self._sides]
        self._pushed.set()
        return all(taken)

    async def _renew(self, side: _Side) -> bool:
        async with self._one_at_a_time:
            done = side.done  # there may be another version before this one has been taken
            pending = [live for live in side.live() if live not in done]
            if not pending:
                return True
            try:
                credentials = await side.login.renewed()
            except CredentialsMissing as error:
                return self._failed(side, str(error))
            answers = await asyncio.gather(
                *(_log_in(live, credentials) for live in pending), return_exceptions=True
            )
        taken = [live for live, answer in zip(pending, answers, strict=True) if answer is None]
        done.update(taken)
        refused = [answer for answer in answers if isinstance(answer, RedisError)]
        if refused:
            return self._failed(side, f"{without_arguments(refused[0])}; {side.login.hint}")
        side.failures, side.told = 0, False
        if credentials and taken and not side.announced:
            side.announced = True
            self._tell(CredentialsRenewed, on=side.on, connections=len(taken))
        return all(answer is None or isinstance(answer, LaneLost) for answer in answers)

    def _failed(self, side: _Side, why: str) -> bool:
        side.again_at = self._loop.time() + min(SELDOM, LOOK * 2.0**side.failures)
        side.failures += 1
        if not side.told:
            side.told = True
            self._tell(CredentialsRefused, on=side.on, why=why)
        return False

    def _listen(self) -> None:
        streaming = {
            id(side.login.provider): side.login.provider
            for side in self._sides
            if side.login.streams
        }
        for provider in streaming.values():  # each takes one listener, also one that serves both

            def given(token: Any, provider: Any = provider) -> Awaitable[None]:
                return self._from_anywhere(self._given, provider, token)

            def failed(error: Exception, provider: Any = provider) -> Awaitable[None]:
                return self._from_anywhere(self._unavailable, provider, type(error).__name__)

            try:
                provider.on_next(given)  # type: ignore[union-attr]
                provider.on_error(failed)  # type: ignore[union-attr]
            except Exception as error:  # noqa: BLE001  # it can be asked all the same
                self._unavailable(provider, type(error).__name__)

    def _from_anywhere(self, callback: Callable[..., None], *args: Any) -> Awaitable[None]:
        """
        Calls back on our loop; providers speak on threads and loops of their own, and some await
        what comes of it.
        """
        with suppress(RuntimeError):  # the loop is closed, and the client with it
            self._loop.call_soon_threadsafe(callback, *args)
        return _Told()

    def _given(self, provider: Any, token: Any) -> None:
        for side in self._sides:
            if side.login.provider is provider:
                side.login.push(token)
        self._pushed.set()

    def _unavailable(self, provider: Any, error: str) -> None:
        for side in self._sides:
            if side.login.provider is provider:
                self._failed(side, f"the provider failed with {error}")


class _Told:
    """
    Awaited or not, there is nothing more to it.
    """

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


async def _log_in(live: Live, credentials: Credentials) -> None:
    """
    Raises the server's refusal, or whatever says that the connection has gone.
    """
    if not credentials:
        return
    auth = ("AUTH", *credentials)
    if isinstance(live, Lane):
        await live.submit(pack(auth))
        return
    (answer,) = await live.ask((auth,))
    if isinstance(answer, Exception):
        raise answer
