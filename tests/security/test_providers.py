"""
Whoever can say a password may be asked for it: at every new connection, and for live ones.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.credentials import CredentialProvider, StreamingCredentialProvider

from sahool_cache import LoginFailedError, RedisClient, RedisSettings, UnavailableError
from sahool_cache.connection.login import Provider
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import CredentialsRefused, CredentialsRenewed, NodeDown
from tests.integration.observe import Recorder, eventually
from tests.security.roles import connections

PASSWORD = "Tilia-cordata-10"
USERS = ("one", "two")


@pytest.fixture(scope="module")
def group() -> Iterator[EmbeddedSentinel]:
    """
    A group whose servers know two users, and whose default user is locked out.
    """
    group = EmbeddedSentinel(replicas=1, sentinels=1, quorum=1, password="root")
    asyncio.run(_open(group))
    yield group
    asyncio.run(group.aclose())


async def _open(group: EmbeddedSentinel) -> None:
    await group.open()
    for node in (group.master, *group.replicas):
        for user in USERS:
            rules = ("reset", "on", f">{PASSWORD}", "~*", "&*", "+@all")
            await group.command(node, "ACL", "SETUSER", user, *rules)


def settings(group: EmbeddedSentinel, **update: Any) -> RedisSettings:
    return group.settings.model_copy(update={"password": None, "client_name": "app", **update})


async def users(group: EmbeddedSentinel) -> set[str]:
    return {facts["user"] for _, facts in await connections(group, (group.master,))}


class Plain(CredentialProvider):
    def get_credentials(self) -> tuple[str, str]:
        assert threading.current_thread() is not threading.main_thread(), "it may block"
        return "one", PASSWORD


class Awaited(CredentialProvider):
    async def get_credentials_async(self) -> tuple[str, str]:
        await asyncio.sleep(0)
        return "one", PASSWORD


async def awaited() -> tuple[str, str]:
    await asyncio.sleep(0)
    return "one", PASSWORD


PROVIDERS: dict[str, Callable[[], Provider]] = {
    "redis-py's": Plain,
    "redis-py's, awaited": Awaited,
    "a callable": lambda: lambda: ("one", PASSWORD),
    "an async callable": lambda: awaited,
}


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.asyncio
async def test_every_kind_of_provider_logs_in(group: EmbeddedSentinel, kind: str) -> None:
    async with RedisClient(settings(group), credential_provider=PROVIDERS[kind]()) as redis:
        assert await redis.set("k", "v")
        assert await redis.blpop("nothing", timeout=0.01) is None
        assert await users(group) == {"one"}


@pytest.mark.asyncio
async def test_a_provider_may_give_a_password_only(group: EmbeddedSentinel) -> None:
    given = settings(group, username="two")
    async with RedisClient(given, credential_provider=lambda: PASSWORD) as redis:
        assert await redis.set("k", "v")
        assert await users(group) == {"two"}


@pytest.mark.asyncio
async def test_a_client_of_a_url_takes_a_provider(group: EmbeddedSentinel) -> None:
    url = f"redis+sentinel://{group.sentinels[0].address}/{group.settings.master_name}"
    async with RedisClient.from_url(url, credential_provider=awaited) as redis:
        assert await redis.set("k", "v")


def told(error: BaseException) -> Iterator[str]:
    yield "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        yield from (repr(link), repr(vars(link)))
        link = link.__cause__ or link.__context__


@pytest.mark.parametrize(
    "gives",
    [None, "", 7, ("a", "b", "c"), ("one", None), RuntimeError, asyncio.CancelledError],
    ids=["None", "empty", "a number", "three words", "no password", "an error", "cancelled"],
)
@pytest.mark.asyncio
async def test_a_provider_that_fails_is_a_connection_that_could_not_be_made(
    group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture, gives: object
) -> None:
    """
    The error names the provider and holds no word of what it said; a call that waits is served
    when it is well again.
    """
    caplog.set_level(logging.DEBUG)
    well = False

    def provider() -> object:
        if well:
            return "one", PASSWORD
        if isinstance(gives, type):
            raise gives(f"the password is {PASSWORD}")
        return gives

    async with RedisClient(
        settings(group, command_timeout=0.2), credential_provider=provider
    ) as redis:
        with pytest.raises(UnavailableError, match="`credential_provider`") as caught:
            await redis.get("k")
        waiting = asyncio.create_task(redis.with_options(timeout=10).set("k", "v"))
        await asyncio.sleep(0)
        well = True
        assert await waiting
    assert not [text for text in (*told(caught.value), caplog.text) if PASSWORD in text]


@pytest.mark.asyncio
async def test_a_provider_that_hangs_is_given_up(group: EmbeddedSentinel) -> None:
    async def provider() -> object:
        return await asyncio.Event().wait()

    given = settings(group, socket_connect_timeout=0.2, command_timeout=0.6)
    async with RedisClient(given, credential_provider=provider) as redis:
        with pytest.raises(UnavailableError, match=r"gave nothing within 0\.18 s"):
            await redis.get("k")


@pytest.mark.asyncio
async def test_a_login_that_is_refused_names_the_provider(group: EmbeddedSentinel) -> None:
    async with RedisClient(settings(group), credential_provider=lambda: "wrong") as redis:
        with pytest.raises(LoginFailedError, match="`credential_provider`"):
            await redis.get("k")


class Token:
    def __init__(self, user: str, value: str) -> None:
        self._user, self._value = user, value

    def try_get(self, claim: str) -> str | None:
        return self._user if claim == "oid" else None

    def get_value(self) -> str:
        return self._value


class BrokenToken(Token):
    def get_value(self) -> str:
        raise ValueError(PASSWORD)


class Stream(StreamingCredentialProvider):
    """
    Pushes what it is told to, from a thread of its own.
    """

    def __init__(self) -> None:
        self.user = "one"
        self.next: Callable[[Any], Any] | None = None
        self.error: Callable[[Exception], Any] | None = None

    async def get_credentials_async(self) -> tuple[str, str]:
        return self.user, PASSWORD

    def on_next(self, callback: Callable[[Any], Any]) -> None:
        self.next = callback

    def on_error(self, callback: Callable[[Exception], Any]) -> None:
        self.error = callback

    def is_streaming(self) -> bool:
        return self.next is not None

    async def push(self, token: object) -> None:
        self.user = "two"
        assert self.next is not None
        await asyncio.to_thread(self.next, token)


@pytest.mark.parametrize(
    "token",
    [Token("two", PASSWORD), object(), BrokenToken("two", PASSWORD)],
    ids=["token", "a hint", "a broken one"],
)
@pytest.mark.asyncio
async def test_a_pushed_token_is_taken_by_live_connections(
    group: EmbeddedSentinel, recorder: Recorder, token: object
) -> None:
    stream = Stream()
    async with RedisClient(
        settings(group, near_cache=True, lanes=2), credential_provider=stream, observers=[recorder]
    ) as redis:
        assert await redis.set("k", "v")
        assert await eventually(stream.is_streaming)
        assert await users(group) == {"one"}
        dials = [node.dials for node in redis.stats().nodes]
        await stream.push(token)
        assert await eventually(lambda: recorder.of(CredentialsRenewed) != [])
        assert await users(group) == {"two"}
        assert [node.dials for node in redis.stats().nodes] == dials
        assert recorder.of(NodeDown) == []


@pytest.mark.asyncio
async def test_a_provider_awaits_what_comes_of_a_push(group: EmbeddedSentinel) -> None:
    stream = Stream()
    async with RedisClient(settings(group), credential_provider=stream) as redis:
        assert await redis.set("k", "v")
        assert await eventually(stream.is_streaming)
        assert stream.next is not None
        await stream.next(Token("two", PASSWORD))
    await stream.next(Token("one", PASSWORD))  # a client that is closed minds nothing


@pytest.mark.asyncio
async def test_a_stream_that_fails_is_told_once_and_by_kind_only(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    stream = Stream()
    async with RedisClient(
        settings(group), credential_provider=stream, observers=[recorder]
    ) as redis:
        assert await redis.set("k", "v")
        assert await eventually(stream.is_streaming)
        assert stream.error is not None
        for _ in range(3):
            await asyncio.to_thread(stream.error, ValueError(PASSWORD))
        assert await eventually(lambda: recorder.of(CredentialsRefused) != [])
        assert await redis.get("k") == "v"
    (event,) = recorder.of(CredentialsRefused)
    assert (event.on, event.why) == ("data", "the provider failed with ValueError")


@pytest.mark.asyncio
async def test_replies_stay_in_step_while_connections_log_in_again(
    group: EmbeddedSentinel,
) -> None:
    names = iter(range(10**9))
    async with RedisClient(
        settings(group, lanes=2),
        credential_provider=lambda: (USERS[next(names) % 2], PASSWORD),
    ) as redis:
        stop = False

        async def caller(number: int) -> int:
            turn = 0
            while not stop or turn < 50:
                turn += 1
                assert await redis.echo(f"{number}.{turn}") == f"{number}.{turn}"
            return turn

        callers = [asyncio.create_task(caller(number)) for number in range(50)]
        for _ in range(100):
            assert await redis.reauthenticate()
        stop = True
        assert min(await asyncio.gather(*callers)) >= 50
        assert redis.stats().repeats == 0


@pytest.mark.asyncio
async def test_renewals_at_once_leave_every_connection_with_the_newest(
    group: EmbeddedSentinel,
) -> None:
    names = iter(range(10**9))
    async with RedisClient(
        settings(group, lanes=5, near_cache=True),
        credential_provider=lambda: (USERS[next(names) // 40 % 2], PASSWORD),
    ) as redis:
        for _ in range(20):
            assert await asyncio.gather(*(redis.reauthenticate() for _ in range(7))) == [True] * 7
            assert len(await users(group)) == 1


class Broken(Stream):
    def on_next(self, callback: Callable[[Any], Any]) -> None:
        raise RuntimeError(PASSWORD)


@pytest.mark.asyncio
async def test_a_stream_that_takes_no_listener_is_told_and_serves(
    group: EmbeddedSentinel, recorder: Recorder
) -> None:
    async with RedisClient(
        settings(group), credential_provider=Broken(), observers=[recorder]
    ) as redis:
        assert await redis.set("k", "v")
        assert await eventually(lambda: recorder.of(CredentialsRefused) != [])
    (event,) = recorder.of(CredentialsRefused)
    assert event.why == "the provider failed with RuntimeError"


def test_a_provider_and_a_password_are_refused() -> None:
    where: dict[str, Any] = {"sentinels": ["h"], "master_name": "m"}
    for prefix in ("", "sentinel_"):
        for how in ({"password": PASSWORD}, {"password_file": __file__}):
            both = RedisSettings.isolated(
                **where, **{f"{prefix}{name}": value for name, value in how.items()}
            )
            with pytest.raises(ValueError, match="not both") as caught:
                RedisClient(both, **{f"{prefix}credential_provider": awaited})  # type: ignore[arg-type]
            assert PASSWORD not in str(caught.value)
    with pytest.raises(TypeError, match="neither callable"):
        RedisClient(RedisSettings.isolated(**where), credential_provider=PASSWORD)  # type: ignore[arg-type]
