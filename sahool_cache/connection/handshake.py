"""
A connection of `redis.asyncio.sentinel` that learns from its greeting whom it reached.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from redis import exceptions as redis_errors
from redis._parsers.encoders import Encoder
from redis.asyncio.connection import Connection
from redis.asyncio.sentinel import SentinelManagedConnection

from sahool_cache.connection.certificates import Certificates
from sahool_cache.connection.faults import DialFailed, judge, without_arguments
from sahool_cache.connection.lane import Lane
from sahool_cache.connection.login import CredentialsMissing, Login
from sahool_cache.connection.packing import pack
from sahool_cache.errors import Verdict

__all__ = ["ManagedConnection", "greet"]


class ManagedConnection(SentinelManagedConnection):
    """
    One connection; its pool names the address, its greeting the role.

    `role` is ``master``, ``replica`` or ``sentinel`` as HELLO said, which costs no round trip
    of its own and which no ACL forbids. `introduction` are commands that tell the server who we
    are: refused ones cost nothing else, and `on_missing(right)` hears of those that an ACL refuses.
    `lifetime()` is how many seconds a new connection may live.
    """

    def __init__(
        self,
        *,
        login: Login,
        tls: Certificates | None = None,
        settings: str = "",
        introduction: Sequence[tuple[str, ...]] = (),
        lifetime: Callable[[], float] = lambda: inf,
        on_missing: Callable[[str], None] = lambda _right: None,
        **options: Any,
    ) -> None:
        super().__init__(credential_provider=login, driver_info=None, **options)
        self.login = login
        self.tls = tls
        self.settings = settings  # what the names of its settings begin with
        self._introduction = introduction
        self._lifetime = lifetime
        self._on_missing = on_missing
        self._version = login.version
        self._ends_at = inf
        self.reached = False
        self.evicted = False
        self.role: str | None = None
        self.client_id: int | None = None
        self.lane: Lane | None = None

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = dict(super()._connection_arguments())
        return arguments | {"ssl": self.tls.context()} if self.tls is not None else arguments

    @property
    def spent(self) -> bool:
        """
        Whether it should not be lent any more: too old, or logged in with old credentials.
        """
        if self._version != self.login.version:
            return True
        return self._ends_at < inf and self._ends_at <= asyncio.get_running_loop().time()

    async def connect_to(self, address: tuple[str, int]) -> None:
        """
        Connects and greets; forgets whom an earlier connection had reached.
        """
        self.role = self.client_id = None
        self.reached = self.evicted = False
        self._version = self.login.version
        await super().connect_to(address)
        self._ends_at = asyncio.get_running_loop().time() + self._lifetime()
        await self._introduce()

    async def _introduce(self) -> None:
        # redis-py gives a connection up whose name is refused, and does not say of what else was.
        if self._introduction:
            await self.send_packed_command(
                b"".join(map(pack, self._introduction)), check_health=False
            )
        for words in self._introduction:
            try:
                await self.read_response()
            except redis_errors.NoPermissionError:
                self._on_missing(" ".join(words[:2]))
            except redis_errors.ResponseError:  # the server is older than the command
                pass

    async def _connect(self) -> None:
        await super()._connect()
        self.reached = True

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """
        The next reply; a READONLY stays what the server said, the caller judges it.
        """
        reply = await Connection.read_response(self, *args, **options)
        if self.role is None and isinstance(reply, dict):
            fields = {_text(key): value for key, value in reply.items()}
            if "role" in fields:
                self.role, self.client_id = _text(fields["role"]), fields.get("id")
        return reply

    def attach(
        self, received: Callable[[bytes], None], lost: Callable[[BaseException | None], None]
    ) -> asyncio.WriteTransport:
        """
        Hands every byte from now on to a lane. Replacing the stream reader's three entrances
        leaves redis-py's protocol, flow control and TLS as they are, and needs no reader task.
        """
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise ConnectionError("closed before it could be used")

        def ended(error: BaseException | None = None) -> None:
            self.cut()
            lost(error)

        reader.feed_data = received  # type: ignore[method-assign, assignment]
        reader.feed_eof = ended  # type: ignore[method-assign]
        reader.set_exception = ended  # type: ignore[method-assign, assignment]
        transport = writer.transport
        if transport.is_closing() or reader.at_eof():
            asyncio.get_running_loop().call_soon(ended)
        return transport

    def decode_as(self, encoder: Encoder) -> None:
        """
        Reads replies with that encoder from now on; nothing may be due.
        """
        if encoder.decode_responses != self.encoder.decode_responses:
            self.encoder = encoder
            self._parser.on_connect(self)

    def cut(self) -> None:
        """
        Ends the connection at once, without a goodbye that a hung server would not read.
        """
        writer, self._reader, self._writer = self._writer, None, None
        self.lane = None
        if writer is not None:
            writer.transport.abort()
            self._parser.on_disconnect()


async def greet(connection: ManagedConnection, timeout: float) -> None:
    """
    Connects and logs in, all of it within `timeout` seconds; `DialFailed` says why not.

    redis-py bounds the TCP connect alone: a server that accepts and never answers would hold us.
    """
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
    except BaseException as error:
        connection.cut()
        if isinstance(error, redis_errors.ResponseError):
            error.args = (without_arguments(error),)  # tracebacks show the cause, too
        if isinstance(error, Exception):  # of any kind: redis-py trusts a greeting to make sense
            raise _dial_failed(connection, error, timeout) from error
        raise


def _dial_failed(connection: ManagedConnection, error: Exception, timeout: float) -> DialFailed:
    """
    What went wrong, with the setting to look at. A builtin TimeoutError is our own timer's.
    """
    name, tls, said = connection.settings, _tls_error(error), without_arguments(error)
    if isinstance(error, TimeoutError):
        if connection.tls is not None and not connection.reached:
            hint = f"; does it speak TLS? check the setting `{name}tls`"
            return DialFailed(f"no TLS handshake within {timeout:g} s{hint}")
        return DialFailed(f"no greeting within {timeout:g} s")
    if isinstance(error, redis_errors.BusyLoadingError | CredentialsMissing):
        return DialFailed(said)
    if isinstance(error, redis_errors.AuthenticationError):
        hint = connection.login.hint
        return DialFailed(f"login refused ({said}); {hint}", permanent=True, login=True)
    if tls is not None:
        hint = f"check the setting `{name}tls`"
        return DialFailed(f"TLS failed ({tls}); {hint}", permanent=True)
    if isinstance(error, redis_errors.ResponseError):
        about_db = "DB index" in said or "'select'" in said
        hint = "; check the setting `db`" if about_db else ""
        lasts = judge(error) is Verdict.REFUSED  # a server that is busy with a script says so, too
        return DialFailed(f"greeting refused ({said}){hint}", permanent=lasts)
    told = getattr(error, "status_code", None) is not None  # the server said why
    if connection.reached and connection.tls is None and not told:
        hint = f"if it wants TLS, set `{name}tls`"
        return DialFailed(f"closed during the greeting ({said}); {hint}")
    return DialFailed(said)


def _tls_error(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error.reason or str(error)
        error = error.__cause__ or error.__context__
    return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
