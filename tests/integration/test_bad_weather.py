"""
Wrong settings and refusals: one clear error, in time, that names the setting and no secret.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache import (
    ConnectFailedError,
    LoginFailedError,
    MasterUnknownError,
    RedisClient,
    RedisSettings,
    TLSSettings,
    UnavailableError,
)
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.events import RightMissing, SentinelUp
from tests.integration.observe import Recorder, eventually, send_all, within

SECRETS = {
    "password": "Quercus-robur-7",
    "sentinel_password": "Fagus-sylvatica-8",
    "wrong": "Betula-pendula-9",
    "user": "Tilia-cordata-10",
}
BUDGET = 3.0
SLACK = 2.0


@pytest.fixture(scope="module")
def locked_group() -> Iterator[EmbeddedSentinel]:
    """
    A group with passwords everywhere; its tests leave it as they found it.
    """
    group = EmbeddedSentinel(
        password=SECRETS["password"], sentinel_password=SECRETS["sentinel_password"]
    )
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest.fixture(autouse=True)
def every_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def changed(group: EmbeddedSentinel, **update: Any) -> RedisSettings:
    return group.settings.model_copy(update={"command_timeout": BUDGET, **update})


def told(error: BaseException) -> Iterator[str]:
    """
    Everything that an error and its causes say to anybody who prints or logs them.
    """
    yield "".join(traceback.format_exception(error))
    link: BaseException | None = error
    while link is not None:
        yield from (str(link), repr(link), repr(link.args), repr(vars(link)))
        link = link.__cause__ or link.__context__


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS.values():
            assert secret not in text


async def refusal(
    settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> UnavailableError | ResponseError:
    """
    The one error that every kind of call gives, in time, with no secret in anything said.
    """
    recorder = Recorder()
    async with RedisClient(settings, observers=[recorder]) as redis:
        errors: list[BaseException] = []
        for call in (
            redis.get("k"),
            redis.set("k", "v"),
            redis.blpop("list", timeout=1),
            send_all(redis.pipeline(), ("SET", "k", "v")),
            redis.wait_ready(),
        ):
            started = time.monotonic()
            with pytest.raises((UnavailableError, ResponseError)) as caught:
                await call
            assert time.monotonic() - started < BUDGET + SLACK
            errors.append(caught.value)
        with within(BUDGET + SLACK):
            assert await redis.ping() is False
        with within(BUDGET + SLACK):
            health = await redis.health_check()
        assert health["status"] == "unhealthy"
        info = await redis.get_sentinel_info()
        assert len({type(error) for error in errors}) == 1, errors
        seen = [str(event) for event in recorder.events]
        assert_no_secret(repr(redis), repr(redis.stats()), repr(health), repr(info), *seen)
    for error in errors:
        assert_no_secret(*told(error))
    assert_no_secret(repr(settings), str(settings), caplog.text)
    assert_no_secret(*(repr((record.msg, record.args)) for record in caplog.records))
    first = errors[0]
    assert isinstance(first, UnavailableError | ResponseError)
    return first


@pytest.mark.parametrize(
    ("update", "names"),
    [
        ({"password": SECRETS["wrong"]}, "password"),
        ({"password": None}, "password"),
        ({"username": "nobody", "password": SECRETS["password"]}, "username"),
    ],
    ids=["wrong password", "missing password", "wrong username"],
)
@pytest.mark.asyncio
async def test_login_that_a_server_refuses(
    locked_group: EmbeddedSentinel,
    caplog: pytest.LogCaptureFixture,
    update: dict[str, Any],
    names: str,
) -> None:
    """
    The error names the server and the setting.
    """
    error = await refusal(changed(locked_group, **update), caplog)
    assert isinstance(error, LoginFailedError)
    assert names in str(error)
    assert str(locked_group.master.address) in str(error)
    assert error.node == str(locked_group.master.address)


@pytest.mark.parametrize(
    ("update", "names"),
    [
        ({"sentinel_password": SECRETS["wrong"]}, "sentinel_password"),
        ({"sentinel_password": None}, "sentinel_password"),
        ({"sentinel_username": "nobody"}, "sentinel_username"),
    ],
    ids=["wrong password", "missing password", "wrong username"],
)
@pytest.mark.asyncio
async def test_login_that_the_sentinels_refuse(
    locked_group: EmbeddedSentinel,
    caplog: pytest.LogCaptureFixture,
    update: dict[str, Any],
    names: str,
) -> None:
    """
    The error lists every sentinel with its refusal, and names the setting.
    """
    error = await refusal(changed(locked_group, **update), caplog)
    assert isinstance(error, MasterUnknownError)
    assert set(error.causes) == {str(node.address) for node in locked_group.sentinels}
    assert names in str(error)


@pytest.mark.asyncio
async def test_wrong_master_name(
    locked_group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The error names the name, and every sentinel that does not know it.
    """
    error = await refusal(changed(locked_group, master_name="no-such-group"), caplog)
    assert isinstance(error, MasterUnknownError)
    assert "no-such-group" in str(error)
    assert set(error.causes) == {str(node.address) for node in locked_group.sentinels}
    assert all("no-such-group" in cause for cause in error.causes.values())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.asyncio
async def test_sentinels_that_cannot_be_reached(
    locked_group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A closed port, a name that does not resolve, a listener that never answers: each with its cause.
    """
    with socket.create_server(("127.0.0.1", 0)) as mute:
        closed, silent = closed_port(), mute.getsockname()[1]
        sentinels = [("127.0.0.1", closed), ("no-such-host.invalid", 26379), ("127.0.0.1", silent)]
        error = await refusal(changed(locked_group, sentinels=sentinels), caplog)
    assert isinstance(error, MasterUnknownError)
    assert set(error.causes) == {f"{host}:{port}" for host, port in sentinels}
    for address, cause in error.causes.items():
        assert address in str(error)
        assert cause in str(error)
    assert "TimeoutError" not in error.causes.values()
    assert len(set(error.causes.values())) == 3, error.causes


@pytest.mark.asyncio
async def test_one_good_sentinel_among_bad_ones_is_enough(locked_group: EmbeddedSentinel) -> None:
    """
    Whatever is wrong with the others, one sentinel that answers serves, and at once.
    """
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sentinels = [
            ("127.0.0.1", mute.getsockname()[1]),
            ("no-such-host.invalid", 26379),
            ("127.0.0.1", closed_port()),
            locked_group.master.address,
            locked_group.sentinels[0].address,
        ]
        redis = RedisClient(changed(locked_group, sentinels=sentinels))
        with within(BUDGET):
            assert await redis.set("k", "v")
        await redis.aclose()


@pytest.mark.asyncio
async def test_wrong_database_number(
    locked_group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A database that the server does not have: the error names the setting and the server.
    """
    error = await refusal(changed(locked_group, db=99), caplog)
    assert isinstance(error, ConnectFailedError)
    assert "`db`" in str(error)
    assert str(locked_group.master.address) in str(error)


async def add_user(group: EmbeddedSentinel, nodes: tuple[Node, ...], *rules: str) -> None:
    for node in nodes:
        await group.command(
            node, "ACL", "SETUSER", "app", "reset", "on", f">{SECRETS['user']}", *rules
        )


@pytest_asyncio.fixture
async def users(locked_group: EmbeddedSentinel) -> AsyncIterator[None]:
    """
    Takes the user that a test made away again.
    """
    yield
    servers = (locked_group.master, *locked_group.replicas)
    for node in (*servers, *locked_group.sentinels):
        await locked_group.command(node, "ACL", "DELUSER", "app")


def as_user(group: EmbeddedSentinel) -> RedisSettings:
    return changed(group, username="app", password=SECRETS["user"])


@pytest.mark.usefixtures("users")
@pytest.mark.asyncio
async def test_command_that_the_acl_forbids(
    locked_group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture
) -> None:
    """
    redis-py's own NoPermissionError, for that call alone; the next one is served.
    """
    servers = (locked_group.master, *locked_group.replicas)
    await add_user(locked_group, servers, "~mine:*", "&*", "+@all", "-flushall", "-incr")
    async with RedisClient(as_user(locked_group)) as redis:
        for call in (
            redis.flushall(),
            redis.execute_command("INCR", "mine:n"),
            redis.get("other"),
            redis.replica.get("other"),
            send_all(redis.pipeline(transaction=False), ("GET", "other")),
            send_all(redis.pipeline(), ("SET", "mine:k", "v"), ("GET", "other")),
        ):
            with within(BUDGET), pytest.raises(NoPermissionError) as caught:
                await call
            assert_no_secret(*told(caught.value))
        assert await redis.set("mine:k", "v")
        assert await redis.get("mine:k") == "v"
        assert redis.stats().repeats == 0
    assert_no_secret(caplog.text)


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("missing", ["INFO", "ROLE"])
@pytest.mark.asyncio
async def test_right_that_is_missing_costs_its_feature_only(
    locked_group: EmbeddedSentinel,
    caplog: pytest.LogCaptureFixture,
    recorder: Recorder,
    missing: str,
) -> None:
    """
    Without INFO, or without ROLE, the replicas still serve; one warning says what it costs.
    """
    servers = (locked_group.master, *locked_group.replicas)
    await add_user(locked_group, servers, "~*", "&*", "+@all", f"-{missing.lower()}")
    async with RedisClient(as_user(locked_group), observers=[recorder]) as redis:
        assert await redis.set("k", "v")
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        assert await redis.with_options(read_from="replica").get("k") == "v"
        await asyncio.sleep(2.2)  # two more looks at the rotation
        assert len(redis.topology.in_rotation) == 2
        assert [event.right for event in recorder.of(RightMissing)] == [missing]
    warnings = [record for record in caplog.records if "RightMissing" in record.getMessage()]
    assert [record.levelname for record in warnings] == ["WARNING"]
    assert_no_secret(caplog.text)


@pytest.mark.usefixtures("users")
@pytest.mark.asyncio
async def test_sentinel_that_forbids_to_subscribe_is_polled(
    locked_group: EmbeddedSentinel, recorder: Recorder
) -> None:
    """
    Without the right to its events a sentinel still tells who is master.
    """
    rules = ("+@all", "-subscribe", "-psubscribe", "resetchannels")
    await add_user(locked_group, locked_group.sentinels, *rules)
    settings = changed(locked_group, sentinel_username="app", sentinel_password=SECRETS["user"])
    async with RedisClient(settings, observers=[recorder]) as redis:
        assert await redis.set("k", "v")
        assert await eventually(lambda: len(recorder.of(SentinelUp)) == 3)
        missing = recorder.of(RightMissing)
        assert len(missing) == 1
        assert "sentinel" in missing[0].right


@pytest.mark.parametrize("both", [True, False], ids=["sentinels", "servers"])
@pytest.mark.asyncio
async def test_tls_to_a_group_without_it(
    locked_group: EmbeddedSentinel, caplog: pytest.LogCaptureFixture, *, both: bool
) -> None:
    """
    The error names the setting: `tls`, or `sentinel_tls` for each sentinel.
    """
    sentinel_tls = None if both else False
    error = await refusal(changed(locked_group, tls=True, sentinel_tls=sentinel_tls), caplog)
    if both:
        assert isinstance(error, MasterUnknownError)
        assert set(error.causes) == {str(node.address) for node in locked_group.sentinels}
        assert all("TLS" in cause for cause in error.causes.values()), error.causes
        assert "`sentinel_tls`" in str(error)
    else:
        assert isinstance(error, UnavailableError)
        assert "TLS" in str(error)
        assert "`tls`" in str(error)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A directory with `cert.pem` for 127.0.0.1 and its `key.pem`, and a stranger's `other.pem`.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on the PATH, which makes the certificates")
    place = tmp_path_factory.mktemp("certificates")
    for name in ("cert", "other"):
        key = "key.pem" if name == "cert" else "other-key.pem"
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(place / key), "-out", str(place / f"{name}.pem")]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subprocess.run(
            [openssl, "req", "-x509", *curve, "-days", "2", *subject, *files],
            check=True,
            capture_output=True,
        )
    return place


@pytest.fixture(scope="module")
def tls_group(certificates: Path) -> Iterator[tuple[EmbeddedSentinel, dict[str, str]]]:
    """
    A group whose servers also speak TLS, and the map from their plain ports to those with TLS.
    """
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server on the PATH; the embedded server speaks no TLS")
    group = EmbeddedSentinel(server=server, password=SECRETS["password"], down_after=0.5)

    async def start() -> dict[str, str]:
        await group.open()
        ports = {}
        for node in (group.master, *group.replicas):
            port = closed_port()
            options = {
                "tls-cert-file": certificates / "cert.pem",
                "tls-key-file": certificates / "key.pem",
                "tls-auth-clients": "no",
                "tls-port": port,
            }
            words = (str(word) for pair in options.items() for word in pair)
            await group.command(node, "CONFIG", "SET", *words)
            ports[str(node.address)] = f"127.0.0.1:{port}"
        return ports

    try:
        yield group, asyncio.run(start())
    except ResponseError as error:
        pytest.skip(f"redis-server on the PATH speaks no TLS: {error}")
    finally:
        asyncio.run(group.aclose())


TLSGroup = tuple[EmbeddedSentinel, dict[str, str]]


def over_tls(tls_group: TLSGroup, tls: TLSSettings | bool | None) -> RedisSettings:
    group, ports = tls_group
    return changed(group, tls=tls, sentinel_tls=False, address_map=ports)


@pytest.mark.asyncio
async def test_tls_to_a_server_that_speaks_it(tls_group: TLSGroup, certificates: Path) -> None:
    """
    Lanes, exclusive connections and replica reads all work over TLS.
    """
    settings = over_tls(tls_group, TLSSettings(ca_file=certificates / "cert.pem"))
    async with RedisClient(settings) as redis:
        assert await redis.set("k", "v" * 100_000)
        assert await redis.blpop("list", timeout=0.01) is None
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        assert await redis.with_options(read_from="replica").get("k") == "v" * 100_000
        values = await asyncio.gather(*(redis.echo(str(n)) for n in range(500)))
        assert values == [str(n) for n in range(500)]


@pytest.mark.asyncio
async def test_certificate_that_is_not_trusted(
    tls_group: TLSGroup, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The error says that the certificate is the reason, and names the setting.
    """
    settings = over_tls(tls_group, TLSSettings(ca_file=certificates / "other.pem"))
    error = await refusal(settings, caplog)
    assert isinstance(error, ConnectFailedError)
    assert "certificate" in str(error).lower()
    assert "`tls`" in str(error)


@pytest.mark.asyncio
async def test_plain_to_a_server_that_wants_tls(
    tls_group: TLSGroup, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A client without TLS on a port with it: one error, in time, that names the setting.
    """
    error = await refusal(over_tls(tls_group, None), caplog)
    assert isinstance(error, UnavailableError)
    assert "`tls`" in str(error)


@pytest.mark.asyncio
async def test_tls_survives_a_failover(tls_group: TLSGroup, certificates: Path) -> None:
    """
    The promoted replica is reached over TLS as well.
    """
    group, ports = tls_group
    settings = over_tls(tls_group, TLSSettings(ca_file=certificates / "cert.pem"))
    async with RedisClient(settings.model_copy(update={"command_timeout": 10.0})) as redis:
        assert await redis.set("before", "1")
        new = await group.wait_for_failover(await group.failover())
        assert await eventually(lambda: str(redis.topology.master) == ports[str(new.address)])
        assert await redis.set("after", "2")
        assert await redis.get("before") == "1"
