"""
Each line of docs/rights.md suffices for all of its role's work: no server has refused anything.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache import Address, RedisClient
from sahool_cache.embedded import EmbeddedSentinel, Node
from tests.house import ROOT
from tests.integration.load import Load
from tests.integration.observe import eventually
from tests.security.roles import LINES, as_client, grant, password_of, refusals, servers
from tests.security.servers import redis_server
from tests.security.work import FEATURES, READS

ON_SENTINELS = {"client", "peer", "monitoring-sentinels", "administrator-sentinels"}


@pytest.fixture(scope="module", params=["valkey", "redis"])
def group(request: pytest.FixtureRequest) -> Iterator[EmbeddedSentinel]:
    """
    A group with every user of the page, who do all that servers and sentinels say to one another.
    """
    server = redis_server() if request.param == "redis" else None
    group = EmbeddedSentinel(
        server=server,
        password="root",
        sentinel_password="root",
        down_after=0.5,
        failover_timeout=3.0,
        sentinel_debug={"info-period": 1000, "publish-period": 500},
    )
    asyncio.run(_open(group))
    yield group
    asyncio.run(group.aclose())


async def _open(group: EmbeddedSentinel) -> None:
    await group.open()
    for name in LINES:
        await grant(group, group.sentinels if name in ON_SENTINELS else servers(group), name)
    for node in servers(group):
        user = ("masteruser", "replication", "masterauth", password_of("replication"))
        await group.command(node, "CONFIG", "SET", *user)
        for kind in ("master", "replica"):  # whoever they were, they log in again
            await group.command(node, "CLIENT", "KILL", "TYPE", kind)
    for node in group.sentinels:
        user = ("auth-user", "sentinel", "auth-pass", password_of("sentinel"))
        await group.command(node, "SENTINEL", "SET", group.settings.master_name, *user)
        await group.command(node, "SENTINEL", "CONFIG", "SET", "sentinel-user", "peer")
        word = ("sentinel-pass", password_of("peer"))
        await group.command(node, "SENTINEL", "CONFIG", "SET", *word)
    await group.wait_in_sync()
    await refusals(group)


async def logged_in(group: EmbeddedSentinel, nodes: tuple[Node, ...], user: str) -> bool:
    """
    Whether that user has a connection to each of these.
    """
    for node in nodes:
        if f" user={user} " not in str(await group.command(node, "CLIENT", "LIST")):
            return False
    return True


def connection(node: Node, user: str) -> Redis:
    return Redis(
        host=node.host,
        port=node.port,
        username=user,
        password=password_of(user),
        decode_responses=True,
        driver_info=None,  # by default it tells its own name, which no line allows for
    )


@pytest.mark.asyncio
async def test_an_application_has_every_feature_through_a_failover(
    group: EmbeddedSentinel,
) -> None:
    """
    Replicas and sentinels do their own work under users of their own meanwhile.
    """
    assert await logged_in(group, (group.master,), "replication")
    assert await logged_in(group, servers(group), "sentinel")
    assert await logged_in(group, group.sentinels, "peer")
    settings = as_client(group, "application", near_cache=True, client_name="app", db=0)
    async with RedisClient(settings) as redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        for feature in FEATURES.values():
            await feature(redis)
        blocked = asyncio.create_task(redis.blpop("long", timeout=0))
        async with Load(redis, writers=2, readers=1) as load:
            await load.flows()
            old = await group.failover()
            await group.wait_for_failover(old)
            await load.flows()
        assert load.errors == {}, load.first_errors
        await redis.rpush("long", "a")
        assert await blocked == ("long", "a")
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2, 30)
        for feature in FEATURES.values():
            await feature(redis)
    assert await refusals(group) == []


@pytest.mark.asyncio
async def test_an_application_in_another_database_has_it_selected(group: EmbeddedSentinel) -> None:
    async with RedisClient(as_client(group, "application", db=3)) as redis:
        assert await redis.set("k3", "v")
        assert "db=3" in str(await group.command(group.master, "CLIENT", "LIST"))
    assert await refusals(group) == []


@pytest.mark.asyncio
async def test_a_reader_reads_everywhere_and_writes_nothing(group: EmbeddedSentinel) -> None:
    await group.command(group.master, "SET", "seed", "1")
    await group.wait_in_sync()
    async with RedisClient(as_client(group, "reader", near_cache=True)) as redis:
        for feature in READS.values():
            await feature(redis)
        assert await refusals(group) == []
        for call in (redis.set("k", "v"), redis.publish("c", "m"), redis.eval("return 1", 0)):  # type: ignore[no-untyped-call]
            with pytest.raises(NoPermissionError):
                await call
    assert await refusals(group) != []


@pytest.mark.asyncio
async def test_monitoring_reads_all_that_the_exporter_shows(group: EmbeddedSentinel) -> None:
    async with connection(group.master, "monitoring") as redis:
        await redis.execute_command("CLIENT", "SETNAME", "redis_exporter")
        await redis.info("all")
        await redis.slowlog_len()
        await redis.slowlog_get(1)
        await redis.execute_command("LATENCY", "LATEST")
        await redis.execute_command("LATENCY", "HISTOGRAM")
    async with connection(group.sentinels[0], "monitoring-sentinels") as redis:
        name = group.settings.master_name
        await redis.info()
        for question in ("SLAVES", "SENTINELS", "CKQUORUM"):
            await redis.execute_command("SENTINEL", question, name)
        await redis.execute_command("SENTINEL", "MASTERS")
    assert await refusals(group) == []


@pytest.mark.parametrize("kind", ["server", "sentinel"])
@pytest.mark.asyncio
async def test_monitoring_by_the_real_exporter(
    group: EmbeddedSentinel, kind: str, unused_tcp_port: int
) -> None:
    exporter = shutil.which("redis_exporter") or shutil.which("prometheus-redis-exporter")
    if exporter is None:
        pytest.skip("there is no redis_exporter on the PATH")
    node = group.master if kind == "server" else group.sentinels[0]
    user = "monitoring" if kind == "server" else "monitoring-sentinels"
    here = Address("127.0.0.1", unused_tcp_port)
    options = ("-redis.addr", f"redis://{node.address}", "-redis.user", user)
    secret = ("-redis.password", password_of(user), "-web.listen-address", str(here))
    process = await asyncio.create_subprocess_exec(
        exporter, *options, *secret, "-config-command", "-", stderr=DEVNULL
    )
    try:
        assert "\nredis_up 1" in await asyncio.to_thread(_scraped, here)
    finally:
        process.kill()
        await process.wait()
    assert await refusals(group) == []


def _scraped(here: Address) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(f"http://{here}/metrics", timeout=20) as page:  # our own
                return str(page.read().decode())
        except OSError:
            assert time.monotonic() < deadline, "the exporter does not answer"
            time.sleep(0.02)


@pytest.mark.asyncio
async def test_a_backup_takes_all_of_the_data(group: EmbeddedSentinel, tmp_path: Path) -> None:
    cli = shutil.which("redis-cli")
    if cli is None:
        pytest.skip("there is no redis-cli on the PATH")
    await group.wait_in_sync()
    replica, file = group.replicas[0], tmp_path / "dump.rdb"
    where = ("-h", replica.host, "-p", str(replica.port), "--user", "backup", "--no-auth-warning")
    secret = ("--pass", password_of("backup"))
    process = await asyncio.create_subprocess_exec(
        cli, *where, *secret, "--rdb", str(file), stderr=PIPE, stdout=DEVNULL
    )
    _, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert file.read_bytes()[:5] in (b"REDIS", b"VALKE")
    async with connection(replica, "backup") as redis:
        assert await redis.info("replication")
        assert await redis.role()
    assert await refusals(group) == []


@pytest.mark.asyncio
async def test_an_administrator_looks_at_everything_and_fails_over(
    group: EmbeddedSentinel,
) -> None:
    async with connection(group.master, "administrator") as redis:
        await redis.set("admin", "1")
        await redis.info("all")
        await redis.config_get("maxmemory*")
        await redis.config_set("slowlog-max-len", 100)
        await redis.client_list()
        await redis.acl_getuser("application")
        await redis.acl_log()
        await redis.memory_stats()
        await redis.slowlog_get(1)
        await redis.execute_command("LATENCY", "LATEST")
        await redis.role()
        await redis.time()
        await redis.wait(1, 100)
        await redis.execute_command("ACL", "DRYRUN", "application", "INFO")
    name, old = group.settings.master_name, group.master
    async with connection(group.sentinels[0], "administrator-sentinels") as redis:
        await redis.execute_command("SENTINEL", "CKQUORUM", name)
        await redis.execute_command("SENTINEL", "MASTER", name)
        async with asyncio.timeout(40):
            while group.master is old:  # one that was not elected in time has to be asked for again
                with suppress(ResponseError, TimeoutError):
                    await redis.execute_command("SENTINEL", "FAILOVER", name)
                    await group.wait_for_failover(old, timeout=5)
    assert await refusals(group) == []


def test_every_line_is_proved() -> None:
    tests = Path(__file__).read_text() + (ROOT / "tests" / "cli" / "test_restore.py").read_text()
    assert [name for name in LINES if f'"{name}"' not in tests] == []
