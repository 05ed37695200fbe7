"""
With which name and password connections log in: asked for at every new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from pathlib import Path
from typing import Any, cast

from redis.credentials import CredentialProvider, StreamingCredentialProvider

from sahool_cache.settings import file_signature

__all__ = ["Credentials", "CredentialsMissing", "Login", "Provider"]

Credentials = tuple[str, ...]
"""A password, or a name and a password; empty where none is needed."""

Provider = CredentialProvider | Callable[[], Any]
"""One of redis-py's, or a callable, async or not, that returns a password or (name, password)."""

THREADS = 4
"""How many calls of a provider that blocks may be under way at once."""


class CredentialsMissing(Exception):
    """
    There are no credentials to log in with now. Holds no word of what a provider has said.
    """


class Login(CredentialProvider):
    """
    The credentials of one kind of server. `version` is another one each time when those that
    connections have logged in with are no longer the newest.

    `within` is how many seconds a provider may take. `setting` begins the names of its settings.
    """

    def __init__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        file: Path | None = None,
        provider: Provider | None = None,
        within: float = 5.0,
        setting: str = "",
    ) -> None:
        self.version = 0
        self.file = file
        self.provider = provider
        self._username = username
        self._password = password
        self._within = within
        self._setting = setting
        self._signature = file_signature(file)
        self._pushed: Credentials | None = None
        # Of its own: calls that hang would take the threads of everybody who uses the loop's.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sahool_cache.credentials")

    @property
    def hint(self) -> str:
        """
        What to look at when they are refused.
        """
        if self.provider is not None:
            return f"check what `{self._setting}credential_provider` gives"
        password = "password_file" if self.file is not None else "password"
        return f"check the settings `{self._setting}username` and `{self._setting}{password}`"

    @property
    def streams(self) -> bool:
        """
        Whether the provider says by itself when there are new ones.
        """
        return isinstance(self.provider, StreamingCredentialProvider)

    def look(self) -> None:
        """
        Notes whether the file has changed; one call of stat.
        """
        if self.file is not None:
            signature = file_signature(self.file)
            if signature != self._signature:
                self._signature = signature
                self.version += 1

    def push(self, token: Any) -> None:
        """
        Takes what a streaming provider gives.
        """
        try:
            self._pushed = self._read((token.try_get("oid"), token.get_value()))
        except Exception:  # noqa: BLE001  # of another kind, or broken: the provider is asked
            self._pushed = None
        self.version += 1

    async def renewed(self) -> Credentials:
        """
        The newest: what was pushed, or what a new connection would log in with. Raises likewise.
        """
        pushed, self._pushed = self._pushed, None
        return pushed or await self.get_credentials_async()

    async def get_credentials_async(self) -> Credentials:  # type: ignore[override]
        """
        What a new connection logs in with; raises `CredentialsMissing`.
        """
        if self.file is not None:
            self.look()  # first: what is written from now on is another version
            return self._read(_text(self.file, self._setting))
        if self.provider is None:
            return self._read(self._password) if self._password is not None else ()
        failed, given = "", None
        try:
            async with asyncio.timeout(self._within):
                given = await self._ask(self.provider)
        except TimeoutError:
            failed = f"gave nothing within {self._within:g} s"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failed = "was cancelled"  # what it awaits was, not who asks
        except Exception as error:  # noqa: BLE001  # whatever it was, it may quote a secret
            failed = f"failed with {type(error).__name__}"
        if failed:  # here, so that the provider's own error is not chained
            raise CredentialsMissing(f"the `{self._setting}credential_provider` {failed}")
        return self._read(given)

    async def _ask(self, provider: Provider) -> Any:
        if not isinstance(provider, CredentialProvider):
            given = provider()
            return await given if isawaitable(given) else given
        # redis-py's own default for it calls the other one on the event loop, and warns each time.
        if type(provider).get_credentials_async is not CredentialProvider.get_credentials_async:
            return await cast("Awaitable[Any]", provider.get_credentials_async())
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, provider.get_credentials)

    def _read(self, given: Any) -> Credentials:
        match given:
            case str() if given:
                return (self._username, given) if self._username else (given,)
            case [str() as password]:
                return self._read(password)
            case [None | "", str() as password]:
                return self._read(password)
            case [str() as username, str() as password] if password:
                return username, password
        raise CredentialsMissing(
            f"the `{self._setting}credential_provider` gave no password, nor (username, password)"
        )


def _text(file: Path, setting: str) -> str:
    failed = text = ""
    try:
        text = file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:  # the latter has the whole file in it
        failed = type(error).__name__
    if failed:
        raise CredentialsMissing(f"the file of `{setting}password_file` is unreadable ({failed})")
    if not text:
        raise CredentialsMissing(f"the file of `{setting}password_file` is empty")
    return text
