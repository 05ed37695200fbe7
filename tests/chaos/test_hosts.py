"""
Hosts of their own: one address for everybody, cuts that are silent and selective, nothing left.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import sahool_cache
from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedError, Node
from tests.chaos.hosts import SENTINEL_WITH_MASTER, HostGroup
from tests.chaos.network import Network
from tests.integration.observe import eventually

pytestmark = pytest.mark.skipif(bool(HostGroup.missing()), reason=HostGroup.missing() or "")

DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.0).close()
    print("reached")
except OSError as error:
    print(type(error).__name__)
"""


@pytest_asyncio.fixture
async def group() -> AsyncIterator[HostGroup]:
    async with HostGroup(down_after=0.5, failover_timeout=3.0) as group:
        yield group


def links() -> set[str]:
    """
    The network links of this namespace that a group of hosts has made.
    """
    return {each.name for each in Path("/sys/class/net").iterdir() if each.name[:7] == "sahool-"}


def is_there(pid: int) -> bool:
    """
    Whether that process exists; nobody but init may reap an orphan, so a zombie does not.
    """
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def dial(network: Network, host: str, to: Node) -> str:
    """
    What becomes of a connection that a program on that host opens.
    """
    process = await asyncio.create_subprocess_exec(
        *network.prefix(host),
        *(sys.executable, "-c", DIAL, to.host, str(to.port)),
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def names(group: HostGroup, sentinel: Node, master: Node, timeout: float = 5.0) -> bool:
    """
    Whether the sentinel names that master, sooner or later: the leader comes a second after others.
    """
    question = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sahool-master"
    deadline = time.monotonic() + timeout
    while await group.command(sentinel, *question) != [master.host, str(master.port)]:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def network(group: HostGroup) -> Network:
    return group._open_network()


@pytest.mark.asyncio
async def test_everybody_uses_the_same_addresses(group: HostGroup) -> None:
    """
    Each member has a host, a client needs no address map, and a failover works as ever.
    """
    nodes = (group.master, *group.replicas, *group.sentinels)
    assert len({node.host for node in nodes}) == 6
    assert not group.settings.address_map
    async with RedisClient(group.settings) as redis:
        assert await redis.set("k", "v")
        old = await group.failover()
        new = await group.wait_for_failover(old)
        assert await eventually(lambda: redis.topology.master == new.address)
        assert await redis.get("k") == "v"


@pytest.mark.asyncio
async def test_a_cut_is_silent_both_ways_and_between_two_only(group: HostGroup) -> None:
    """
    No refusal and no "unreachable" tells of it; the others, and the client, notice nothing.
    """
    master, (one, other) = group.master, group.replicas
    await group.cut(master, one)
    assert await dial(network(group), one.host, master) == "TimeoutError"
    assert await dial(network(group), master.host, one) == "TimeoutError"
    assert await dial(network(group), other.host, master) == "reached"
    assert await dial(network(group), one.host, other) == "reached"
    for node in (master, one):
        assert await group.command(node, "PING") == "PONG"
    await group.cut(master, one)  # twice is as good as once
    await group.heal()
    assert await dial(network(group), one.host, master) == "reached"


@pytest.mark.asyncio
async def test_a_cut_stops_connections_that_there_are(group: HostGroup) -> None:
    """
    The link of a replica stands still while both ends believe in it, and catches up when healed.
    """
    master, (one, other) = group.master, group.replicas
    await group.cut(master, one)
    await group.command(master, "SET", "k", "v")
    async with asyncio.timeout(5):
        while await group.command(other, "GET", "k") != "v":
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert await group.command(one, "GET", "k") is None
    assert "master_link_status:up" in str(await group.command(one, "INFO", "replication"))
    await group.heal()
    await group.wait_in_sync(timeout=10)
    assert await group.command(one, "GET", "k") == "v"


@pytest.mark.asyncio
async def test_master_cut_off_from_its_group_is_replaced_and_still_answers(
    group: HostGroup,
) -> None:
    old = group.master
    await group.cut_off(old, from_="group")
    new = await group.wait_for_failover(old)
    assert await group.command(old, "SET", "k", "lost") == "OK"
    assert await group.command(new, "GET", "k") is None


@pytest.mark.asyncio
async def test_master_cut_off_from_the_client_stays_master(group: HostGroup) -> None:
    """
    Nobody in the group notices, for twice the time after which a master is down.
    """
    master = group.master
    await group.cut_off(master, from_="client")
    with pytest.raises(TimeoutError):
        await group.command(master, "PING", timeout=1.0)
    await group.heal()
    assert group.master is master
    for sentinel in group.sentinels:
        assert "+switch-master" not in sentinel.log.read_text()
    assert await group.command(master, "PING") == "PONG"


@pytest.mark.asyncio
async def test_a_vanished_host_answers_nobody_and_refuses_nobody(group: HostGroup) -> None:
    old = group.master
    await group.cut_off(old, from_="all")
    with pytest.raises(TimeoutError):
        await group.command(old, "PING", timeout=0.2)
    for sentinel in group.sentinels:
        assert await dial(network(group), sentinel.host, old) == "TimeoutError"
    assert await group.wait_for_failover(old) is not old


@pytest.mark.asyncio
async def test_what_is_on_one_host_stays_together() -> None:
    """
    A sentinel on the master's host is cut off with it, and goes on seeing it as master.
    """
    async with HostGroup(down_after=0.5, layout=SENTINEL_WITH_MASTER) as group:
        old, inside = group.master, group.sentinels[0]
        assert group.with_node(old) == (old, inside)
        await group.cut_off(old, from_="group")
        new = await group.wait_for_failover(old)
        assert await dial(network(group), old.host, old) == "reached"
        for sentinel in group.sentinels[1:]:
            assert await names(group, sentinel, new)
        assert await names(group, inside, old)


@pytest.mark.asyncio
async def test_groups_live_side_by_side_and_leave_nothing() -> None:
    before = links()
    async with HostGroup(replicas=0, sentinels=1) as one:
        async with HostGroup(replicas=0, sentinels=1) as two:
            assert len(links() - before) == 2
            assert one.master.host != two.master.host
            await one.cut_off(one.master, from_="all")
            assert await two.command(two.master, "PING") == "PONG"
            pids = [process.pid for process in network(two)._guard._children]
        assert len(links() - before) == 1
        assert not [pid for pid in pids if is_there(pid)]
    assert links() == before


@pytest.mark.asyncio
async def test_a_start_that_fails_leaves_nothing() -> None:
    before = links()
    with pytest.raises(EmbeddedError, match="no-such-setting"):
        async with HostGroup(server_config={"no-such-setting": 1}):
            pass
    assert links() == before


PARENT = """
import asyncio
from tests.chaos.hosts import HostGroup

async def main():
    async with HostGroup(replicas=0, sentinels=1) as group:
        await group.cut_off(group.master, from_="all")
        print(group._network._link, *group._network._pids.values(), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_killed_parent_takes_hosts_and_links_along() -> None:
    """
    After SIGKILL neither a host, nor a server on it, nor a link is left.
    """
    root = Path(sahool_cache.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        link, *pids = parent.stdout.readline().split()
        assert link in links()
        parent.kill()
    deadline = time.monotonic() + 5
    while link in links() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert link not in links()
    assert not [pid for pid in pids if is_there(int(pid))]
