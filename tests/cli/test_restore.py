from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sahool_cache import RedisClient
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.app import main
from sahool_cache.cli.backup.taking import take
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.restore.comparing import Compared, compare
from sahool_cache.cli.restore.proof import find_backup
from sahool_cache.cli.restore.restoring import Mode, Order, Stopped, prove, restore_into
from sahool_cache.cli.restore.scratch import Scratch
from sahool_cache.cli.restore.target import open_targets, patient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.embedded.binary import find_server
from tests.cli.conftest import Cli, environment
from tests.cli.contents import ballast, contents, fill
from tests.cli.test_backup import order as backup_order
from tests.security.roles import as_client, grant, refusals, servers
from tests.security.servers import redis_server

KEYS = 45
WRONG = ("--flush", "--replace", "any")


@pytest.fixture(scope="module")
def full_group() -> Iterator[EmbeddedSentinel]:
    """
    One group with something of every kind in it.
    """
    group = EmbeddedSentinel()
    asyncio.run(group.open())
    asyncio.run(fill(group))
    yield group
    asyncio.run(group.aclose())


@pytest.fixture(scope="module")
def backup(full_group: EmbeddedSentinel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A backup of it.
    """
    directory = tmp_path_factory.mktemp("backup")
    wanted = backup_order(full_group.settings, directory)
    return asyncio.run(take(wanted, lambda _: None)).file


@pytest.fixture(scope="module")
def shared_group() -> Iterator[EmbeddedSentinel]:
    group = EmbeddedSentinel(password="s3cret", down_after=60)
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())


@pytest.fixture
def group(shared_group: EmbeddedSentinel) -> EmbeddedSentinel:
    """
    An empty one to restore into, that does not fail over.
    """
    shared_group.master.ask_now(
        ("FLUSHALL",), ("FUNCTION", "FLUSH"), ("CONFIG", "RESETSTAT"), timeout=5
    )
    return shared_group


def order(group: EmbeddedSentinel, mode: Mode = "empty", **others: Any) -> Order:
    told = {"server": None, "every_value": True, "within": 30.0, "quiet": True}
    told |= {"confirm": lambda *_: None} | others
    return Order(settings=group.settings, mode=mode, **told)


async def commands_of(group: EmbeddedSentinel) -> str:
    (reply,) = await group.master.ask(("INFO", "commandstats"))
    return str(reply)


async def keys_in(group: EmbeddedSentinel) -> int:
    (reply,) = await group.master.ask(("INFO", "keyspace"))
    lines = [line for line in str(reply).splitlines() if line.startswith("db")]
    return sum(int(line.partition("keys=")[2].partition(",")[0]) for line in lines)


@pytest.mark.asyncio
async def test_everything_comes_back_as_it_was(
    full_group: EmbeddedSentinel, backup: Path, cli: Cli, group: EmbeddedSentinel
) -> None:
    done = cli("restore", "--yes", "--json", str(backup), settings=group.settings)
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert await contents(group) == await contents(full_group)
    assert (document["copied"], document["compared"]["values"]) == (KEYS, KEYS)
    assert (document["replicas"], document["confirmed"]) == (2, 2)
    async with RedisClient(group.settings) as redis:
        assert await redis.fcall("one", 0) == 1


@pytest.mark.asyncio
async def test_a_group_that_is_not_empty_is_refused_replaced_or_flushed(
    backup: Path, here: Cli, group: EmbeddedSentinel
) -> None:
    async with RedisClient(group.settings) as redis:

        def restore(*options: str) -> subprocess.CompletedProcess[str]:
            return here("restore", *options, str(backup), settings=group.settings)

        await redis.mset({"integer": "mine", "other": "mine"})
        done = restore("--yes")
        assert (done.returncode, done.stdout) == (64, "")
        assert "holds 2 in database 0: --flush deletes all of it first" in done.stderr

        done = restore("--flush")
        assert (done.returncode, done.stdout) == (64, ""), "nobody was there to be asked"
        assert await redis.mget("integer", "other") == ["mine", "mine"]

        done = restore("--replace", "--yes")
        assert done.returncode == 0, done.stdout
        assert await redis.mget("integer", "other") == ["12345", "mine"]

        done = restore("--flush", "--yes")
        assert done.returncode == 0, done.stdout
        assert "nothing in the group that the backup has not" in done.stdout
        assert await redis.mget("integer", "other") == ["12345", None]
        assert await keys_in(group) == KEYS


def test_a_check_needs_no_group_and_takes_the_newest_of_a_directory(backup: Path, cli: Cli) -> None:
    done = cli("restore", "--check", "--json", str(backup.parent))
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr, document["file"]) == (0, "", str(backup))
    assert document["databases"] == {"0": 15, "3": 15, "15": 15}
    assert document["functions"] == 1
    assert document["sidecar"]["keys"] == KEYS


def test_a_path_too_long_for_a_socket_is_told(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / ("far" * 40)
    far.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    with pytest.raises(Refused, match="too long a path for a socket: set TMPDIR"):
        asyncio.run(prove(backup, None, quiet=True))
    assert not list(far.iterdir())


@pytest.mark.asyncio
async def test_the_documented_rights_are_enough(backup: Path) -> None:
    async with EmbeddedSentinel(password="s3cret", sentinel_password="s3cret") as group:
        await grant(group, servers(group), "restore")
        await grant(group, group.sentinels, "client")
        settings = as_client(group, "restore")
        done = await restore_into(backup, replace(order(group, "flush"), settings=settings))
        assert done.well, done
        assert await refusals(group) == []


@pytest.mark.asyncio
async def test_what_has_expired_since_the_backup_stays_away(tmp_path: Path) -> None:
    async with EmbeddedSentinel() as group, RedisClient(group.settings) as redis:
        await redis.set("stays", "1")
        await redis.set("goes", "1", px=1000)
        await redis.hset("all of it goes", "field", "1")
        await redis.hpexpire("all of it goes", 1000, "field")
        taken = await take(backup_order(group.settings, tmp_path), lambda _: None)
        async with asyncio.timeout(10):
            while await redis.exists("goes", "all of it goes"):
                await asyncio.sleep(0.02)
        proved = await prove(taken.file, None, quiet=True)
        assert taken.sidecar.keys == proved.loaded.keys == 3, "what has expired is counted"
        done = await restore_into(taken.file, order(group, "flush"))
        assert (done.well, done.extra) == (True, 0)
        async with asyncio.timeout(10):  # until the server comes to the field
            while await redis.keys() != ["stays"]:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("diskless", [False, True])
@pytest.mark.asyncio
async def test_times_to_live_of_hash_fields_come_back(*, diskless: bool, tmp_path: Path) -> None:
    config = {"repl-diskless-sync": diskless}
    async with (
        EmbeddedSentinel(server_config=config) as group,
        RedisClient(group.settings) as redis,
    ):
        await redis.hset("hash", mapping={"expires": 1, "stays": 2})
        await redis.hpexpireat("hash", 4_102_444_800_789, "expires")
        await redis.wait(2, 10_000)
        taken = await take(backup_order(group.settings, tmp_path), lambda _: None)
        assert (await restore_into(taken.file, order(group, "flush"))).well
        expires = await redis.hpexpiretime("hash", "expires", "stays")
        assert expires == [4_102_444_800_789, -1]


@pytest.mark.asyncio
async def test_a_field_that_expires_meanwhile_is_no_difference(tmp_path: Path) -> None:
    async with EmbeddedSentinel() as group, RedisClient(group.settings) as redis:
        await redis.hset("hash", mapping={"expires": 1, "stays": 2})
        await redis.hset("other", mapping={"expires": 1, "stays": 2})
        await redis.hset("short", "expires", 1)
        for key in ("hash", "other", "short"):
            await redis.hpexpire(key, 1800, "expires")
        taken = await take(backup_order(group.settings, tmp_path), lambda _: None)
        # as where this server comes to it first
        await redis.hdel("hash", "expires")
        await redis.hdel("short", "expires")
        await redis.hset("other", "stays", 3)
        with Scratch(find_server(), taken.file) as scratch:
            loaded = await scratch.loaded(lambda *_: None)
            async with open_targets(patient(group.settings, 10), loaded.numbers) as targets:
                found = await compare(scratch, targets, keys=3, every_value=True, random=Random(1))
        assert (found.missing, found.other_value) == (0, 1)


@pytest.mark.asyncio
async def test_of_several_groups_backups_the_own_are_taken_and_others_are_named(
    full_group: EmbeddedSentinel, backup: Path, here: Cli, tmp_path: Path
) -> None:
    shutil.copy(backup, tmp_path)
    shutil.copy(f"{backup}.json", tmp_path)
    other = Path(shutil.copy(backup, tmp_path / "other.rdb"))
    retell(other, backup, master_name="other", taken="2099-01-01T00:00:00Z")
    assert find_backup(tmp_path, "sahool-master").name == backup.name
    assert find_backup(tmp_path) == other
    with pytest.raises(Refused, match="no backup of third"):
        find_backup(tmp_path, "third")

    done = here("restore", "--flush", str(tmp_path), settings=full_group.settings)
    assert (done.returncode, done.stdout) == (64, "")
    assert "NOT OF" not in done.stderr
    assert backup.name in done.stderr
    done = here("restore", "--flush", str(other), settings=full_group.settings)
    assert "NOT OF sahool-master: DELETE ALL OF IT, and copy" in done.stderr
    assert await keys_in(full_group) == KEYS


@pytest.mark.asyncio
async def test_a_group_that_is_filled_before_the_answer_is_refused(
    backup: Path, group: EmbeddedSentinel
) -> None:

    def confirm(*_: object) -> None:
        group.master.ask_now(("SET", "late", "1"), timeout=5)

    with pytest.raises(Refused, match="holds 1 in database 0: --flush"):
        await restore_into(backup, order(group, confirm=confirm))
    assert await keys_in(group) == 1


def retell(copy: Path, backup: Path, **others: object) -> None:
    """
    Puts the backup's sidecar beside a copy, with something else in it.
    """
    told = json.loads(Path(f"{backup}.json").read_text())
    Path(f"{copy}.json").write_text(json.dumps(told | others))


def damaged(backup: Path, directory: Path, damage: str, *, beside: bool) -> Path:
    copy = directory / backup.name
    data = bytearray(backup.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "cut in its end":
        del data[-1:]
    elif damage == "turned bit":
        data[len(data) // 2] ^= 0x10
    elif damage == "turned bit in its checksum":
        data[-3] ^= 0x01
    elif damage == "no RDB":
        data[:5] = b"hello"
    copy.write_bytes(data)
    if beside:
        shutil.copy(f"{backup}.json", f"{copy}.json")
    return copy


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize(
    "damage", ["cut", "cut in its end", "turned bit", "turned bit in its checksum", "no RDB"]
)
@pytest.mark.asyncio
async def test_a_damaged_backup_is_refused_before_anything_is_touched(
    damage: str, beside: bool, full_group: EmbeddedSentinel, backup: Path, tmp_path: Path
) -> None:
    bad = damaged(backup, tmp_path, damage, beside=beside)
    with pytest.raises(Refused, match="the backup is damaged") as refused:
        await restore_into(bad, order(full_group, "flush"))
    assert refused.value.status is ExitStatus.DOWN
    assert await keys_in(full_group) == KEYS


def test_a_damaged_sidecar_and_what_is_no_backup_are_told(
    backup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(backup, tmp_path)
    Path(f"{copy}.json").write_text("{}")
    assert main(["restore", "--check", "--json", str(copy)]) == 2
    told = capsys.readouterr()
    assert ".json cannot be read" in json.loads(told.out)["error"]
    assert told.err == ""
    for wrong in (("--check", str(tmp_path / "none.rdb")), ("--check", str(tmp_path)), WRONG):
        assert main(["restore", *wrong]) == 64
        assert capsys.readouterr().out == ""


def test_a_file_that_lacks_keys_is_refused(backup: Path, tmp_path: Path) -> None:
    """
    The file is whole, and still it is not what was backed up.
    """
    copy = Path(shutil.copy(backup, tmp_path))
    retell(copy, backup, keys=KEYS + 1)
    with pytest.raises(Refused, match=f"loads {KEYS} keys; the backup had {KEYS + 1}"):
        asyncio.run(prove(copy, None, quiet=True))


@pytest.fixture(scope="module")
def large_backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    One that is not copied in a moment.
    """

    async def make() -> Path:
        async with EmbeddedSentinel() as source:
            await ballast(source, keys=60)
            wanted = backup_order(source.settings, tmp_path_factory.mktemp("large"))
            return (await take(wanted, lambda _: None)).file

    return asyncio.run(make())


@pytest.mark.parametrize(("mode", "advice"), [("flush", "--flush"), ("empty", "--replace")])
@pytest.mark.asyncio
async def test_an_interrupted_restore_says_how_to_go_on(
    mode: str, advice: str, large_backup: Path, tmp_path: Path, group: EmbeddedSentinel
) -> None:
    option = [] if mode == "empty" else [f"--{mode}"]
    replicas = [node.pid for node in group.replicas]
    for pid in replicas:  # nobody confirms the first write, which is that of the functions
        os.kill(pid, signal.SIGSTOP)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220  # it starts at once
            [sys.executable, "-m", "sahool_cache", "restore", "--yes", *option, str(large_backup)],
            cwd=tmp_path,
            env=environment(group.settings),
            stderr=subprocess.PIPE,
            text=True,
        )
        async with asyncio.timeout(30):
            while "cmdstat_function|restore" not in await commands_of(group):
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = await asyncio.to_thread(process.communicate, timeout=30)
    finally:
        for pid in replicas:
            os.kill(pid, signal.SIGCONT)
    assert process.returncode == 2
    wanted = f"sahool-cache: stopped after 0 of 60 keys: interrupted; run it again with {advice}\n"
    assert told == wanted


@pytest.mark.asyncio
async def test_a_failover_midway_loses_nothing(large_backup: Path) -> None:
    async with EmbeddedSentinel(down_after=0.5) as group:
        work = asyncio.create_task(restore_into(large_backup, order(group, every_value=False)))
        async with asyncio.timeout(30):
            while not await keys_in(group):
                await asyncio.sleep(0)
        await group.kill_master()
        assert not work.done()
        done = await work
        assert done.well, done
        assert done.compared.values == 60, "after a failover all values are compared"
        assert await keys_in(group) == 60


@pytest.mark.asyncio
async def test_a_group_that_has_no_room_stops_it_and_says_how_far(tmp_path: Path) -> None:
    async with EmbeddedSentinel() as source:
        await ballast(source, keys=300, size=100_000)
        taken = await take(backup_order(source.settings, tmp_path), lambda _: None)
    async with EmbeddedSentinel(server_config={"maxmemory": "10mb"}) as group:
        with pytest.raises(
            Stopped, match=r"stopped after \d+ of 300 keys: .*'maxmemory'.* with --replace"
        ) as stopped:
            await restore_into(taken.file, order(group))
        assert stopped.value.status is ExitStatus.DOWN


@pytest.mark.asyncio
async def test_what_differs_is_found(
    full_group: EmbeddedSentinel, backup: Path, group: EmbeddedSentinel
) -> None:
    await restore_into(backup, order(group))
    async with RedisClient(group.settings) as redis:
        await redis.delete("list")
        await redis.persist("set")
        await redis.zincrby("zset", 1, "member 1")
        await redis.srem("small set", 1)
        # another order in memory, the same value
        members = {f"field {n}": n for n in range(1000)}
        await redis.hdel("hash", *members)
        await redis.hset("hash", mapping=dict(reversed(members.items())))
    with Scratch(find_server(), backup) as scratch:
        loaded = await scratch.loaded(lambda *_: None)
        async with open_targets(patient(group.settings, 10), loaded.numbers) as targets:
            found = await compare(scratch, targets, keys=KEYS, every_value=True, random=Random(1))
    assert found == Compared(keys=KEYS, values=KEYS - 2, missing=1, other_expiry=1, other_value=2)


@pytest.mark.asyncio
async def test_an_older_format_is_taken_and_a_newer_one_is_refused_untouched(
    backup: Path, tmp_path: Path
) -> None:
    async with EmbeddedSentinel(server=redis_server()) as redis, EmbeddedSentinel() as valkey:
        await fill(redis)
        taken = await take(backup_order(redis.settings, tmp_path), lambda _: None)
        done = await restore_into(taken.file, order(valkey))
        assert done.well
        assert done.compared.values == KEYS, "read by a server that can read the group's values"
        assert await contents(valkey) == await contents(redis)

        done = await restore_into(taken.file, order(redis, "flush"))
        assert done.well
        assert done.proved.loaded.server.startswith("Redis 7")

        with pytest.raises(Refused, match="the group does not take what Valkey") as refused:
            await restore_into(backup, order(redis, "flush"))
        assert refused.value.status is ExitStatus.DOWN
        assert await keys_in(redis) == KEYS


@pytest.mark.asyncio
async def test_functions_that_collide_are_refused_before_a_key_is_copied(
    backup: Path, group: EmbeddedSentinel
) -> None:
    async with RedisClient(group.settings) as redis:
        other = "#!lua name=other\nredis.register_function('one', function() return 2 end)"
        await redis.execute_command("FUNCTION", "LOAD", other)
        with pytest.raises(Refused, match="the functions are refused"):
            await restore_into(backup, order(group, "replace"))
        assert await keys_in(group) == 0
        done = await restore_into(backup, order(group, "flush"))
        assert done.well
        assert await redis.fcall("one", 0) == 1


@pytest.mark.asyncio
async def test_a_group_without_replicas_is_restored_too(backup: Path) -> None:
    async with EmbeddedSentinel(replicas=0) as group:
        done = await restore_into(backup, order(group))
        assert (done.well, done.replicas) == (True, 0)


@pytest.mark.parametrize(("typed", "status"), [(b"\x03", 130), (b"n\n", 130), (b"y\n", 0)])
@pytest.mark.asyncio
async def test_a_question_can_be_answered_and_interrupted(
    typed: bytes, status: int, backup: Path, tmp_path: Path, group: EmbeddedSentinel
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: ASYNC220  # it starts at once
        [sys.executable, "-m", "sahool_cache", "restore", str(backup)],
        cwd=tmp_path,
        env=environment(group.settings) | {"TMPDIR": str(tmp_path)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509  # it makes one system call
    )
    os.close(theirs)
    assert process.stderr is not None
    asked = b""
    while b"[y/N]" not in asked:
        more = await asyncio.to_thread(process.stderr.read1)
        assert more, asked
        asked += more
    assert b"holds no keys. Copy the 45 keys of" in asked
    os.write(ours, typed)
    await asyncio.to_thread(process.communicate, timeout=50)
    os.close(ours)
    assert process.returncode == status
    assert await keys_in(group) == (KEYS if status == 0 else 0)
    assert not os.listdir(tmp_path), "the scratch server's directory is gone"  # noqa: PTH208


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
