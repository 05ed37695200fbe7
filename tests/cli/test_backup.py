from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sahool_cache import RedisClient, RedisSettings, TLSSettings
from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.app import main
from sahool_cache.cli.backup import transfer
from sahool_cache.cli.backup.archive import Archive
from sahool_cache.cli.backup.sidecar import read_sidecar
from sahool_cache.cli.backup.stream import RdbStream
from sahool_cache.cli.backup.taking import Order, Taken, take
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.restore.restoring import prove
from sahool_cache.cli.restore.scratch import Scratch
from sahool_cache.embedded import EmbeddedSentinel, Node
from sahool_cache.embedded.binary import find_server
from tests.chaos.proxy import ProxiedGroup
from tests.cli.conftest import Cli, environment
from tests.cli.contents import ballast, fill
from tests.security.roles import grant, password_of, refusals, servers
from tests.security.servers import program, redis_server

LOCK = ".sahool-cache-backup.lock"


def order(settings: RedisSettings, directory: Path, **others: Any) -> Order:
    told = {"chosen": None, "allow_master": False, "keep": 7, "keep_days": None, "within": 20.0}
    return Order(settings=settings, directory=directory, **(told | others))


def make_certificate(certificate: Path, key: Path) -> None:
    of = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(
        [program("openssl"), "req", "-x509", *curve, *of, *files], check=True, capture_output=True
    )


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def at_first_bytes(
    wanted: Order, deed: Callable[[], object]
) -> tuple[Taken | Refused, list[RdbStream]]:
    """
    Takes a backup, and does something once the first bytes of it have come.
    """
    seen: list[RdbStream] = []

    def on_progress(stream: RdbStream) -> None:
        if stream.received and stream not in seen:
            seen.append(stream)
            if len(seen) == 1:
                deed()

    try:
        return await take(wanted, on_progress), seen
    except Refused as refused:
        return refused, seen


async def info(node: Node, section: str) -> dict[str, str]:
    (reply,) = await node.ask(("INFO", section), timeout=5)
    lines = (line.partition(":") for line in str(reply).splitlines())
    return {name: value.strip() for name, _, value in lines}


@pytest.mark.asyncio
async def test_a_backup_comes_from_a_replica_and_costs_the_master_nothing(
    calm_group: EmbeddedSentinel, cli: Cli, tmp_path: Path
) -> None:
    keys = await fill(calm_group)
    before = await info(calm_group.master, "stats")
    done = cli("backup", "--json", str(tmp_path), settings=calm_group.settings)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    file = Path(document["file"])
    sidecar = read_sidecar(file)
    assert sidecar is not None
    assert sidecar.server in {str(node.address) for node in calm_group.replicas}
    assert (sidecar.master_name, sidecar.role, sidecar.bytes) == (
        "sahool-master",
        "replica",
        document["bytes"],
    )
    assert (sidecar.keys, sidecar.databases) == (keys, {"0": 15, "3": 15, "15": 15})
    assert document["databases"] == sidecar.databases
    assert len(file.read_bytes()) == sidecar.bytes  # noqa: ASYNC240
    replication = await info(calm_group.master, "replication")
    assert sidecar.replid == replication["master_replid"]
    assert sidecar.offset <= int(replication["master_repl_offset"])
    after = await info(calm_group.master, "stats")
    for figure in ("sync_full", "total_forks"):
        assert before[figure] == after[figure], "the master forks for nobody"
    for each in (file, file.with_name(f"{file.name}.json")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert names(tmp_path) == [LOCK, file.name, f"{file.name}.json"]


@pytest.mark.asyncio
async def test_a_backup_is_of_one_moment_whatever_is_written_meanwhile(
    calm_group: EmbeddedSentinel, tmp_path: Path
) -> None:
    await ballast(calm_group, keys=10)
    async with RedisClient(calm_group.settings) as redis:

        async def write() -> None:
            while True:
                async with redis.pipeline(transaction=True) as pipe:
                    await pipe.incr("left").incr("right").execute()

        writer = asyncio.create_task(write())
        try:
            while int(await redis.get("left") or 0) < 100:
                await asyncio.sleep(0.01)
            at_least = int(await redis.get("left"))
            taken = await take(order(calm_group.settings, tmp_path), lambda _: None)
            at_most = int(await redis.get("left"))
        finally:
            writer.cancel()
            await asyncio.wait({writer})
    proved = await prove(taken.file, None, quiet=True)
    with Scratch(find_server(), taken.file) as scratch:
        await scratch.loaded(lambda *_: None)
        async with scratch.connect() as held:
            left, right = await held.mget("left", "right")
    assert left == right
    assert at_least * 0.9 <= int(left) <= at_most, "a replica may be a moment behind"
    assert proved.loaded.keys == taken.sidecar.keys


@pytest.mark.parametrize("diskless", [False, True])
@pytest.mark.asyncio
async def test_redis_is_backed_up_in_both_forms(*, diskless: bool, tmp_path: Path) -> None:
    config = {"repl-diskless-sync": diskless, "repl-diskless-sync-delay": 0}
    async with EmbeddedSentinel(server=redis_server(), server_config=config) as group:
        keys = await fill(group)
        streams: list[RdbStream] = []
        taken = await take(order(group.settings, tmp_path), streams.append)
    assert (taken.sidecar.keys, taken.sidecar.rdb_version) == (keys, "REDIS0010")
    assert (streams[0]._mark is not None) is diskless


@pytest.mark.asyncio
async def test_a_backup_comes_over_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    async with EmbeddedSentinel(server=redis_server(), password="s3cret") as group:
        await ballast(group, keys=4)
        ways = {}
        for node in (group.master, *group.replicas):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ways[str(node.address)] = f"127.0.0.1:{probe.getsockname()[1]}"
            words = ("tls-auth-clients", "no", "tls-cert-file", certificate, "tls-key-file", key)
            port = ways[str(node.address)].rpartition(":")[2]
            await group.command(node, "CONFIG", "SET", *map(str, words), "tls-port", port)
        settings = group.settings.model_copy(
            update={
                "address_map": ways,
                "sentinel_tls": False,
                "tls": TLSSettings(ca_file=certificate),
            }
        )
        taken = await take(order(settings, tmp_path / "backup"), lambda _: None)
        assert taken.sidecar.keys == 4
        assert taken.sidecar.server in ways.values(), "the port that speaks TLS"


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.asyncio
async def test_a_replica_that_dies_or_hangs_midway_is_replaced_by_another(
    harm: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SILENCE", 2.0)
    async with EmbeddedSentinel() as group:
        await ballast(group)
        pids = {node.address: node.pid for node in group.replicas}
        victims = []

        def harm_it() -> None:
            # whichever serves us: the one that lists somebody as its replica
            for node in group.replicas:
                (reply,) = node.ask_now(("INFO", "replication"), timeout=5)
                if "connected_slaves:1" in str(reply):
                    victims.append(node.address)
                    os.kill(pids[node.address], harm)

        taken, streams = await at_first_bytes(order(group.settings, tmp_path), harm_it)
        assert isinstance(taken, Taken), taken
        assert len(streams) == 2
        assert [each.partition(": ")[0] for each in taken.failed] == list(map(str, victims))
        assert ("it was silent for 2 s" in taken.failed[0]) is (harm is signal.SIGSTOP)
        assert taken.sidecar.server != str(victims[0])
        assert taken.sidecar.keys == 40
    assert len(names(tmp_path)) == 3


@pytest.mark.asyncio
async def test_a_failover_midway_costs_an_attempt_at_most(tmp_path: Path) -> None:
    async with ProxiedGroup(EmbeddedSentinel(down_after=0.5)) as group:
        await ballast(group)
        servers = [group.proxy_of(node) for node in group.replicas]
        tasks = []

        async def fail_over() -> None:
            await group.wait_for_failover(await group.kill_master())
            for proxy in servers:
                proxy.mode = "pass"

        def begin() -> None:
            for proxy in servers:
                proxy.mode = "black_hole"
            tasks.append(asyncio.create_task(fail_over()))

        taken, _ = await at_first_bytes(order(group.settings, tmp_path), begin)
        await asyncio.gather(*tasks)
        assert isinstance(taken, Taken), taken
        assert (taken.sidecar.keys, len(names(tmp_path))) == (40, 3)


@pytest.mark.asyncio
async def test_a_transfer_that_is_cut_leaves_nothing_and_the_old_backups(tmp_path: Path) -> None:
    async with ProxiedGroup(EmbeddedSentinel()) as group:
        await ballast(group)
        first = await take(order(group.settings, tmp_path), lambda _: None)
        cuts = []

        def cut(stream: RdbStream) -> None:
            if stream.received and stream not in cuts:
                cuts.append(stream)
                tasks.append(asyncio.create_task(group.reset_all()))

        tasks: list[asyncio.Task[int]] = []
        with pytest.raises(Refused, match="the connection was lost") as refused:
            await take(order(group.settings, tmp_path, keep=1), cut)
        await asyncio.gather(*tasks)
        assert (refused.value.status, len(cuts)) == (ExitStatus.DOWN, 2)
    assert names(tmp_path) == [LOCK, first.file.name, f"{first.file.name}.json"]


@pytest.mark.asyncio
async def test_a_disk_that_is_full_leaves_nothing(
    calm_group: EmbeddedSentinel, tmp_path: Path
) -> None:
    await ballast(calm_group, keys=4)
    done = _shell(
        f"ulimit -f 100; exec {sys.executable} -m sahool_cache backup", calm_group, tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no backup was taken: [Errno 27] File too large" in done.stderr
    assert names(tmp_path / "backup") == [LOCK]


def _shell(command: str, group: EmbeddedSentinel, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=environment(group.settings),
        text=True,
        timeout=60,
    )


@pytest.mark.asyncio
async def test_an_interrupted_backup_leaves_nothing_and_ends_with_130(tmp_path: Path) -> None:
    async with ProxiedGroup(EmbeddedSentinel()) as group:
        await ballast(group)
        process = subprocess.Popen(  # noqa: ASYNC220  # it starts at once
            [sys.executable, "-m", "sahool_cache", "backup"],
            cwd=tmp_path,
            env=environment(group.settings),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        directory = tmp_path / "backup"
        async with asyncio.timeout(30):
            while not any(each.stat().st_size for each in _drafts(directory)):
                await asyncio.sleep(0)
            for node in group.replicas:
                group.proxy_of(node).mode = "black_hole"
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert (process.returncode, out, err) == (130, b"", b"")
        assert names(directory) == [LOCK]


def _drafts(directory: Path) -> list[Path]:
    found = []
    with suppress(OSError):
        found = list(directory.glob(".sahool-cache-backup.*.rdb"))
    return found


def test_a_second_backup_at_the_same_time_is_refused_and_a_dead_ones_rest_is_removed(
    calm_group: EmbeddedSentinel, here: Cli, tmp_path: Path
) -> None:
    (tmp_path / ".sahool-cache-backup.1.rdb").write_bytes(b"of a process that was killed")
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = here("backup", "--json", str(tmp_path), settings=calm_group.settings)
        assert (done.returncode, done.stderr) == (2, "")
        assert "another backup is being taken" in json.loads(done.stdout)["error"]
    assert here("backup", str(tmp_path), settings=calm_group.settings).returncode == 0
    assert not _drafts(tmp_path)


def test_the_newest_are_kept_and_what_is_not_ours_too(
    calm_group: EmbeddedSentinel, here: Cli, tmp_path: Path
) -> None:
    strangers = [tmp_path / "dump.rdb", tmp_path / "sahool-master-20200101T000000Z.rdb"]
    for each in strangers:
        each.write_bytes(b"REDIS0011")
    files = []
    for _ in range(3):
        done = here("backup", "--json", "--keep", "2", str(tmp_path), settings=calm_group.settings)
        document = json.loads(done.stdout)
        files.append(Path(document["file"]))
        time.sleep(1.01 - time.time() % 1)  # names and sidecars count whole seconds
    assert document["removed"] == [str(files[0])]
    assert not files[0].exists()
    assert not files[0].with_name(f"{files[0].name}.json").exists()
    assert all(each.exists() for each in (*files[1:], *strangers))


def test_a_backup_goes_when_neither_rule_keeps_it(tmp_path: Path) -> None:
    def made(name: str, day: int, master: str = "m") -> Path:
        path = tmp_path / f"{name}.rdb"
        path.write_bytes(b"")
        told = {
            "master_name": master,
            "taken": f"2026-11-{day:02}T02:00:00Z",
            "server": "a:1",
            "role": "replica",
            "version": "9.1.2",
            "rdb_version": "VALKEY080",
            "epoch": 0,
            "replid": "",
            "offset": 0,
            "bytes": 0,
            "sha256": "",
            "checked_by": "",
        }
        path.with_name(f"{path.name}.json").write_text(json.dumps(told))
        return path

    days = [made(f"{day}", day) for day in range(1, 11)]
    made("other", 1, master="another")
    (tmp_path / "bad.rdb").write_bytes(b"")
    (tmp_path / "bad.rdb.json").write_text("{")
    newest = days[-1]
    sidecar = read_sidecar(newest)
    assert sidecar is not None
    archive = Archive(tmp_path)

    def outdated(keep: int, keep_days: int | None) -> list[int]:
        found = archive.outdated(newest, sidecar, keep=keep, keep_days=keep_days)
        return sorted(int(path.stem) for path in found)

    assert outdated(3, None) == [1, 2, 3, 4, 5, 6, 7]
    assert outdated(1, None) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert outdated(3, 5) == [1, 2, 3, 4]
    assert outdated(20, 1) == []


@pytest.mark.asyncio
async def test_the_master_is_asked_only_if_it_is_allowed_and_the_sentinels_learn_of_no_ghost(
    tmp_path: Path,
) -> None:
    debug = {"info-period": 100}  # the sentinels ask the master for its replicas so often
    async with EmbeddedSentinel(sentinel_debug=debug) as group:
        await ballast(group)
        master = group.master.address
        with pytest.raises(Refused, match="is the master: pass --allow-master"):
            await take(order(group.settings, tmp_path, chosen=master), lambda _: None)
        told = asyncio.Event()
        watch = asyncio.create_task(_sentinels_heard(group, told))
        taken = await take(
            order(group.settings, tmp_path, chosen=master, allow_master=True), lambda _: None
        )
        told.set()
        await watch
        assert (taken.sidecar.role, taken.sidecar.keys) == ("master", 40)
        known = sorted(str(node.address) for node in group.replicas)
        for sentinel in group.sentinels:
            (replies,) = await sentinel.ask(("SENTINEL", "REPLICAS", "sahool-master"))
            assert sorted(each[1] for each in replies) == known


async def _sentinels_heard(group: EmbeddedSentinel, told: asyncio.Event) -> None:
    # a round of INFO of every sentinel after the last time that the master has listed us
    await told.wait()
    before = await info(group.master, "commandstats")
    async with asyncio.timeout(20):
        while _calls(await info(group.master, "commandstats")) < _calls(before) + 10:
            await asyncio.sleep(0.05)


def _calls(stats: dict[str, str]) -> int:
    return int(stats["cmdstat_info"].partition("calls=")[2].partition(",")[0])


@pytest.mark.asyncio
async def test_without_a_fit_replica_there_is_no_backup_and_the_reason_is_told(
    here: Cli, tmp_path: Path
) -> None:
    async with EmbeddedSentinel(replicas=1) as group:
        await group.kill(group.replicas[0])
        done = here("backup", "--within", "1", str(tmp_path), settings=group.settings)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{group.replicas[0].address}: it does not keep up" in done.stderr
        assert "--allow-master" in done.stderr
        done = here(
            *("backup", "--within", "1", "--allow-master", str(tmp_path)), settings=group.settings
        )
        assert done.returncode == 0
        assert f"from the master {group.master.address}" in done.stdout


@pytest.mark.asyncio
async def test_the_documented_rights_are_enough_and_a_missing_one_is_named(
    here: Cli, tmp_path: Path
) -> None:
    async with EmbeddedSentinel(password="s3cret", sentinel_password="s3cret") as group:
        await grant(group, servers(group), "backup")
        await grant(group, group.sentinels, "client")
        as_user = {
            "REDIS_USERNAME": "backup",
            "REDIS_PASSWORD": password_of("backup"),
            "REDIS_SENTINEL_USERNAME": "client",
            "REDIS_SENTINEL_PASSWORD": password_of("client"),
        }
        done = here("backup", str(tmp_path), settings=group.settings, **as_user)
        assert (done.returncode, done.stderr) == (0, "")
        assert await refusals(group) == []
        for node in group.replicas:
            await node.ask(("ACL", "SETUSER", "backup", "-psync"))
        done = here("backup", str(tmp_path), settings=group.settings, **as_user)
        assert done.returncode == 2
        assert "needs the rights +psync +replconf" in done.stderr
        assert password_of("backup") not in done.stdout + done.stderr


@pytest.mark.asyncio
async def test_a_server_of_another_group_is_refused(
    calm_group: EmbeddedSentinel, tmp_path: Path
) -> None:
    stranger = Address("192.0.2.1", 6379)
    wanted = order(calm_group.settings, tmp_path, chosen=stranger, within=0.5)
    with pytest.raises(Refused, match="is no server of this group") as refused:
        await take(wanted, lambda _: None)
    assert refused.value.status is ExitStatus.USAGE


def test_wrong_words_are_usage_errors_and_a_file_is_no_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for status, said, *words in (
        (64, "'nowhere' has no port", "--from", "nowhere"),
        (64, "--keep", "--keep", "0"),
        (2, "File exists", str(file)),
    ):
        url = "redis+sentinel://127.0.0.1:1/sahool-master"
        assert main(["backup", "--url", url, *words]) == status
        told = capsys.readouterr()
        assert told.out == ""
        assert said in told.err
