"""
`RedisClient`: one object per event loop, opened once and shared by every task.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Any, Self

from redis._parsers.helpers import get_response_callbacks  # type: ignore[attr-defined]

from sahool_cache import health
from sahool_cache.companion import C, Companions
from sahool_cache.connection.login import Provider
from sahool_cache.errors import ClientClosedError
from sahool_cache.incident import Incident
from sahool_cache.near_cache import NearCache
from sahool_cache.observers import Events, EventStream, LoggingObserver, Observer
from sahool_cache.policy.deadline import Deadline
from sahool_cache.recorder import Recorder
from sahool_cache.routing.topology import Topology
from sahool_cache.scope import Scope
from sahool_cache.settings import RedisSettings, near_cache_limits
from sahool_cache.view import View
from sahool_cache.wiring.chain import Chain
from sahool_cache.wiring.dialling import Dialler, NetworkDialler, check_providers
from sahool_cache.wiring.options import CallOptions
from sahool_cache.wiring.reauthentication import Reauthentication

__all__ = ["RedisClient"]

CLOSE_WITHIN = 0.05
"""Seconds that closing waits for what is in flight."""


class RedisClient(View):
    """
    The client of one Sentinel group. Nothing connects before `open()` or the first command.

    ``async with RedisClient(settings) as redis:`` opens and closes it. One client serves one
    event loop; after a fork, or once its loop has ended, it starts afresh on the next one.
    A `credential_provider` takes the place of the password: one of redis-py's, or a callable,
    async or not, that returns a password or (name, password); asked at every new connection.
    """

    def __init__(
        self,
        settings: RedisSettings | None = None,
        *,
        credential_provider: Provider | None = None,
        sentinel_credential_provider: Provider | None = None,
        observers: Iterable[Observer] = (),
        dialler: Dialler | None = None,
        random: Random | None = None,
    ) -> None:
        self.settings = settings if settings is not None else RedisSettings.from_env()
        if not isinstance(self.settings, RedisSettings):
            raise TypeError("pass RedisSettings, or use RedisClient.from_url(...)")
        self._providers = (credential_provider, sentinel_credential_provider)
        check_providers(self.settings, self._providers)
        self.chain: Chain | None = None
        self.near_cache: NearCache | None = None
        self._reauthentication: Reauthentication | None = None
        self.decode_responses = self.settings.decode_responses
        self.response_callbacks = dict(
            get_response_callbacks(user_protocol=None, legacy_responses=True)
        )
        self._recorder = Recorder(self.settings.master_name)
        self._events = Events((self._recorder, LoggingObserver(), *observers))
        self._dialler = dialler
        self._random = random or Random()
        self._supervisor: asyncio.Task[None] | None = None
        self._settled: asyncio.Future[None] | None = None
        self._companions = Companions()
        self._pid = os.getpid()
        self._closed = False
        options = CallOptions(
            timeout=self.settings.command_timeout,
            read_from=self.settings.read_from,
            durability=self.settings.durability,
        )
        super().__init__(self, options, default=options)

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        credential_provider: Provider | None = None,
        sentinel_credential_provider: Provider | None = None,
        **overrides: Any,
    ) -> Self:
        """
        A client for ``redis+sentinel://user:password@host:26379,host2/master-name/0?...``;
        ``rediss+sentinel://`` is TLS. Raises `ValueError` that names what is wrong.
        """
        return cls(
            RedisSettings.from_url(url, **overrides),
            credential_provider=credential_provider,
            sentinel_credential_provider=sentinel_credential_provider,
        )

    @classmethod
    def from_env(
        cls,
        *,
        credential_provider: Provider | None = None,
        sentinel_credential_provider: Provider | None = None,
        **overrides: Any,
    ) -> Self:
        """
        A client for what the ``REDIS_*`` variables and a ``.env`` file say.
        """
        return cls(
            RedisSettings.from_env(**overrides),
            credential_provider=credential_provider,
            sentinel_credential_provider=sentinel_credential_provider,
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not open"
        line = health.dashboard(self.chain) if self.chain is not None else state
        return f"<RedisClient {line}>"

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:  # cancelled: nobody else would close what has begun
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """
        Starts the background tasks, and waits until the group is known and connected, or is
        known not to be to be had. Never raises because Redis is down: see `wait_ready`.
        """
        self._closed = False
        await self.ready()
        settled = self._settled
        if settled is not None and not settled.done():
            await asyncio.wait({settled}, timeout=self.settings.command_timeout)

    async def ready(self) -> Chain:
        """
        The machinery on this event loop, started if need be.

        Raises `ClientClosedError` after `aclose()`, `RuntimeError` on another loop than the
        one that the client serves.
        """
        chain = self.chain
        if chain is not None and chain.here():
            return chain
        if self._closed:
            raise ClientClosedError("the client is closed; open() opens it again")
        if chain is not None:
            self._leave(chain)
        return self._start()

    def _leave(self, chain: Chain) -> None:
        """
        Forgets machinery that this process or loop cannot use. Its sockets are left alone: a
        forked child that closed them would take them out of its parent's event loop.
        """
        if os.getpid() != self._pid:
            _INHERITED.append(chain)
        elif not chain.loop.is_closed():
            raise RuntimeError(
                "this RedisClient serves another event loop; make one client per loop, "
                "or let get_redis_client() do so"
            )
        self.chain = self.near_cache = self._supervisor = self._settled = None
        self._reauthentication = None

    def _start(self) -> Chain:
        tell = self._events.tell
        dialler = self._dialler or NetworkDialler(
            self.settings, providers=self._providers, random=self._random, tell=tell
        )
        chain = Chain(
            self.settings,
            dialler,
            random=self._random,
            events=self._events,
            recorder=self._recorder,
        )
        self._pid = os.getpid()
        self.chain = chain
        if isinstance(dialler, NetworkDialler):
            self._reauthentication = Reauthentication(chain.fleet, dialler.logins, tell)
            chain.fleet.run_beside(self._reauthentication.run, name="sahool_cache.credentials")
        limits = near_cache_limits(self.settings.near_cache)
        if limits is not None:
            chain.own_writes = self.near_cache = NearCache(
                chain.fleet, self.settings, limits, dialler, self._random
            )
        self._supervisor = asyncio.create_task(chain.fleet.run(), name="sahool_cache.client")
        self._supervisor.add_done_callback(self._ended)
        self._settled = asyncio.create_task(chain.servers.settled(), name="sahool_cache.settle")
        return chain

    def _ended(self, supervisor: asyncio.Task[None]) -> None:
        if supervisor.cancelled() or supervisor.exception() is None:
            return
        # A bug of ours: what waits must not wait for ever, and the next call starts afresh.
        logging.getLogger("sahool_cache").error(
            "The background tasks failed; they start again", exc_info=supervisor.exception()
        )
        if self._supervisor is supervisor:
            if self.chain is not None:
                self.chain.servers.closed = True
                self.chain.fleet.line.wake()
            self.chain = self.near_cache = self._supervisor = None

    async def aclose(self) -> None:
        """
        Lets what is in flight finish for a moment, then ends every task and connection.

        May be called twice, and in the middle of an outage; takes at most 0.1 s. Raises
        `RuntimeError` on another loop than the one that the client serves.
        """
        if self.chain is not None and not self.chain.here():
            self._leave(self.chain)
        try:
            await self._companions.aclose()
        finally:
            await self._end()

    async def _end(self) -> None:
        self._closed = True
        chain, self.chain, self.near_cache = self.chain, None, None
        self._reauthentication = None
        supervisor, self._supervisor = self._supervisor, None
        settled, self._settled = self._settled, None
        self._events.end_streams()
        self._recorder.close()
        if chain is None or supervisor is None:
            return
        chain.servers.closed = True
        chain.fleet.line.wake()
        try:
            member = chain.fleet.master
            if member is not None and not member.node.quiet:
                await member.node.drain(CLOSE_WITHIN)
        finally:
            if settled is not None:
                settled.cancel()
            supervisor.cancel()
            await asyncio.wait({task for task in (supervisor, settled) if task is not None})
            await asyncio.sleep(0)  # the transports say goodbye to the loop

    async def wait_ready(self, timeout: float | None = None) -> None:
        """
        Returns when the master can take commands. Raises `UnavailableError` with the reason
        when it cannot within `timeout` seconds (by default the `command_timeout`).
        """
        deadline = Deadline(self.settings.command_timeout if timeout is None else timeout)
        chain = await self.ready()
        await chain.servers.until_ready(deadline)

    async def reauthenticate(self) -> bool:
        """
        Asks for the credentials and logs live connections in again with them, without disturbing
        what goes over them; whether all have taken them. Those that have not stay as they are, and
        it is tried again. Exclusive connections are made anew when they are next needed.
        """
        await self.ready()
        renewal = self._reauthentication
        return renewal is None or await renewal.now()

    @property
    def topology(self) -> Topology:
        """
        The group as last verified; an empty snapshot while the client is not open.
        """
        if self.chain is None:
            return Topology(sentinels=self.settings.sentinels)
        return self.chain.fleet.topology

    def events(self) -> EventStream:
        """
        Everything that happens from now on, for ``async for``; ends when the client closes.
        """
        stream = self._events.stream()
        if self._closed:
            stream.on_event(None)
        return stream

    def incidents(self) -> tuple[Incident, ...]:
        """
        The failovers that this client has seen, oldest first: a record of each, about a second
        after it is over. The newest twenty are kept.
        """
        return self._recorder.incidents

    def scope(
        self,
        *,
        timeout: float | timedelta | None = None,
        read_your_writes: bool = True,
        after: str | None = None,
    ) -> Scope:
        """
        A view with one budget of `timeout` seconds for all its calls, and whose reads see its own
        writes, and those that the `token` of another scope speaks of (`after`).

        Raises `ValueError` for what is no number of seconds, and for what is no token.
        """
        return Scope(
            self,
            self.options,
            default=self._default,
            timeout=timeout,
            read_your_writes=read_your_writes,
            after=after,
        )

    def companion(self, kind: type[C]) -> C:
        """
        The one `kind(client)` that goes with this client on this event loop, made when it is first
        asked for: what is built on the client, and has to end before it does. See `Companion`.

        Raises `RuntimeError` on another loop than the one that the client serves.
        """
        if self.chain is not None and not self.chain.here():
            self._leave(self.chain)
        return self._companions.get(kind, self)

    def stats(self) -> health.ClientStats:
        """
        The client's figures now; no I/O. May be called from any thread.
        """
        chain = self.chain  # read once: the loop's thread may close it meanwhile
        if chain is None:
            return health.no_stats(Topology(sentinels=self.settings.sentinels))
        return health.client_stats(chain, self.near_cache)

    async def health_check(self) -> dict[str, Any]:
        """
        ``status`` (healthy, degraded or unhealthy) and ``checks``; one round trip.

        Answers within the budget whatever is broken.
        """
        return await health.check_health(await self.ready(), self.options)

    async def get_sentinel_info(self) -> dict[str, Any]:
        """
        ``master``, ``slaves`` and ``sentinels`` as the sentinels see them; asks each once.
        """
        return await health.sentinel_info(await self.ready(), self.options.timeout)


_INHERITED: list[Chain] = []
"""What a forked child keeps for ever: collecting it would close sockets of its parent."""
