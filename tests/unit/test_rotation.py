from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from sahool_cache.address import Address
from sahool_cache.routing.rotation import Listed, Rotation, read_replication
from tests.unit.clock import virtual

M, A, B, N = (Address("h", port) for port in (6379, 6380, 6381, 6382))


def same(address: Address) -> Address:
    return address


class Group:
    """
    A master and two replicas, as they answer INFO and ROLE.
    """

    def __init__(self) -> None:
        self.listed: dict[Address, tuple[str, float]] = {A: ("online", 0), B: ("online", 0)}
        self.links = {A: "connected", B: "connected"}
        self.offsets = {M: 100, A: 100, B: 100}
        self.dead: set[Address] = set()
        self.hung: set[Address] = set()
        self.forbidden: set[str] = set()
        self.asked: list[tuple[Address, str]] = []
        self.changes: list[tuple[Address, ...]] = []
        self.missing: list[str] = []

    async def ask(self, address: Address, question: tuple[str, ...]) -> Any:
        self.asked.append((address, question[0]))
        if address in self.hung:
            await asyncio.sleep(3600)
        if address in self.dead:
            raise ConnectionError("refused")
        if question[0] in self.forbidden:
            raise NoPermissionError("no")
        if question[0] == "ROLE":
            return [b"slave", b"h", 6379, self.links[address].encode(), self.offsets[address]]
        rows = [
            f"slave{n}:ip={a.host},port={a.port},state={state},offset=9,lag={lag}"
            for n, (a, (state, lag)) in enumerate(self.listed.items())
        ]
        return "\r\n".join(
            ["# Replication", "role:master", *rows, f"master_repl_offset:{self.offsets[M]}", ""]
        )


@asynccontextmanager
async def rotating(group: Group, **facts: Any) -> AsyncIterator[Rotation]:
    rotation = Rotation(
        ask=group.ask,
        reachable=facts.pop("reachable", same),
        max_lag=2.0,
        on_change=group.changes.append,
        on_missing=group.missing.append,
        now=asyncio.get_running_loop().time,
        random=Random(1),
    )
    rotation.follow(M, (A, B))
    task = asyncio.create_task(rotation.run())
    try:
        await asyncio.sleep(0.01)
        yield rotation
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtual
async def test_replicas_that_follow_are_fit() -> None:
    group = Group()
    group.listed[B] = ("online", 1)
    async with rotating(group) as rotation:
        assert rotation.checked.is_set()
        assert (rotation.fit, group.changes) == ((A, B), [(A, B)])
        assert rotation.lags == {A: 0.0, B: 1.0}
        await asyncio.sleep(30)
        assert group.changes == [(A, B)]
        assert len(group.asked) <= 3 * 36


def behind(group: Group) -> None:
    group.listed[A] = ("online", 3)


def syncing_says_master(group: Group) -> None:
    group.listed[A] = ("send_bulk", 0)


def syncing_says_replica(group: Group) -> None:
    group.links[A] = "sync"


def unlisted(group: Group) -> None:
    del group.listed[A]


def dead(group: Group) -> None:
    group.dead.add(A)


def hung(group: Group) -> None:
    group.hung.add(A)


@pytest.mark.parametrize(
    "trouble", [behind, syncing_says_master, syncing_says_replica, unlisted, dead, hung]
)
@virtual
async def test_a_replica_in_trouble_is_out_within_two_seconds_and_back_when_well(
    trouble: Callable[[Group], None],
) -> None:
    group = Group()
    async with rotating(group) as rotation:
        trouble(group)
        await asyncio.sleep(2)
        assert list(rotation.fit) == [B]
        group.listed[A], group.links[A] = ("online", 0), "connected"
        group.dead.clear()
        group.hung.clear()
        await asyncio.sleep(2)
        assert list(rotation.fit) == [A, B]


@virtual
async def test_lag_is_bounded_by_the_setting() -> None:
    group = Group()
    group.listed[A] = ("online", 2)
    async with rotating(group) as rotation:
        assert list(rotation.fit) == [A, B]
        assert rotation.lags[A] == 2.0


@pytest.mark.parametrize("how", [dead, hung])
@virtual
async def test_without_a_master_replicas_serve_for_as_long_as_they_may_lag(
    how: Callable[[Group], None],
) -> None:
    group = Group()
    async with rotating(group) as rotation:
        await asyncio.sleep(5)
        (group.dead if how is dead else group.hung).add(M)
        group.links = {A: "connecting", B: "connect"}
        await asyncio.sleep(0.9)
        assert list(rotation.fit) == [A, B]
        await asyncio.sleep(4)
        assert list(rotation.fit) == []


@virtual
async def test_without_a_master_a_replica_that_is_refilled_is_out_at_once() -> None:
    group = Group()
    async with rotating(group) as rotation:
        group.dead.add(M)
        group.links[A] = "sync"
        await asyncio.sleep(1.1)
        assert list(rotation.fit) == [B]


@virtual
async def test_after_a_switch_nobody_is_fit_until_asked_again() -> None:
    group = Group()
    async with rotating(group) as rotation:
        group.listed = {B: ("online", 0)}
        group.links[M] = "connect"
        rotation.follow(A, (B, M))
        assert (list(rotation.fit), rotation.lags, rotation.hurrying) == ([], {}, True)
        await asyncio.sleep(0.01)
        assert list(rotation.fit) == [B]
        group.listed[M], group.links[M] = ("online", 0), "connected"
        await asyncio.sleep(0.25)
        assert list(rotation.fit) == [B, M]


@virtual
async def test_an_answer_about_the_master_before_is_thrown_away() -> None:
    group = Group()
    async with rotating(group) as rotation:
        group.hung.add(M)
        await asyncio.sleep(1.05)
        group.listed = {}
        rotation.follow(A, (B,))
        await asyncio.sleep(0.3)
        assert list(rotation.fit) == []


@virtual
async def test_replicas_are_looked_for_eagerly_for_a_while_only() -> None:
    group = Group()
    group.dead.add(B)
    async with rotating(group) as rotation:
        await asyncio.sleep(4)
        eager = len(group.asked)
        assert eager > 3 * 10
        await asyncio.sleep(6)
        calm = len(group.asked)
        await asyncio.sleep(10)
        assert not rotation.hurrying
        assert len(group.asked) - calm <= 3 * 12


@pytest.mark.parametrize("right", ["INFO", "ROLE"])
@virtual
async def test_a_missing_right_is_told_once_and_costs_that_check_only(right: str) -> None:
    group = Group()
    group.forbidden.add(right)
    async with rotating(group) as rotation:
        await asyncio.sleep(5)
        assert (rotation.fit, group.missing) == ((A, B), [right])
        assert len([asked for _, asked in group.asked if asked == right]) <= 2
        if right == "INFO":
            syncing_says_replica(group)
        else:
            syncing_says_master(group)
        await asyncio.sleep(1.1)
        assert list(rotation.fit) == [B]


@virtual
async def test_without_info_a_replica_whose_link_is_down_is_out() -> None:
    group = Group()
    group.forbidden.add("INFO")
    async with rotating(group) as rotation:
        group.links[A] = "connecting"
        await asyncio.sleep(5)
        assert list(rotation.fit) == [B]


@virtual
async def test_the_masters_list_is_read_in_reachable_addresses() -> None:
    group = Group()
    group.listed = {Address("10.0.0.2", a.port): ("online", 0) for a in (A, B)}
    async with rotating(group, reachable=lambda a: Address("h", a.port)) as rotation:
        assert list(rotation.fit) == [A, B]


@virtual
async def test_nobody_is_asked_before_a_master_is_known() -> None:
    group = Group()
    async with rotating(group) as rotation:
        rotation.follow(None, ())
        assert list(rotation.fit) == []
        before = len(group.asked)
        await asyncio.sleep(10)
        assert len(group.asked) == before


def test_only_complete_rows_of_info_count() -> None:
    info = (
        b"# Replication\r\nrole:master\r\nconnected_slaves:3\r\n"
        b"slave0:ip=h,port=6380,state=online,offset=1,lag=1,type=replica\r\n"
        b"slave1:ip=h,port=6381,state=wait_bgsave,offset=0,lag=0\r\n"
        b"slave2:ip=,port=6382,state=online\r\nslave3:ip=h,port=x\r\nslave4:\r\n"
        b"slave_repl_offset:5\r\nslaves:1\r\n"
    )
    assert read_replication(info, same) == (
        0,
        {
            A: Listed(state="online", silent=1.0, offset=1),
            B: Listed(state="wait_bgsave", silent=0.0, offset=0),
        },
    )
    assert read_replication("", same) == (0, {})


@virtual
async def test_a_replica_whose_connection_was_lost_is_out_until_it_is_asked_again() -> None:
    group = Group()
    async with rotating(group) as rotation:
        await asyncio.sleep(20)
        dead(group)
        rotation.distrust(A)
        assert list(rotation.fit) == [B]
        assert group.changes[-1] == (B,)
        await asyncio.sleep(2)
        assert list(rotation.fit) == [B]
        group.dead.clear()
        await asyncio.sleep(2)
        assert list(rotation.fit) == [A, B]


async def write(group: Group, *, seconds: float, followers: tuple[Address, ...]) -> None:
    """
    A master that writes 1000 bytes a second, and who keeps up with it.
    """
    for _ in range(round(seconds * 20)):
        await asyncio.sleep(0.05)
        group.offsets[M] += 50
        for follower in followers:
            group.offsets[follower] = group.offsets[M]


@virtual
async def test_a_replica_whose_data_grows_old_is_out_although_it_acknowledges() -> None:
    group = Group()
    async with rotating(group) as rotation:
        await write(group, seconds=5, followers=(A, B))
        assert list(rotation.fit) == [A, B]
        await write(group, seconds=1.9, followers=(B,))
        assert list(rotation.fit) == [A, B]
        await write(group, seconds=1.5, followers=(B,))
        assert list(rotation.fit) == [B]
        assert 2.0 < rotation.lags[A] < 3.5
        assert rotation.lags[B] == 0.0


@virtual
async def test_a_replica_that_comes_back_has_to_be_all_there_first() -> None:
    group = Group()
    async with rotating(group) as rotation:
        await write(group, seconds=3, followers=(A, B))
        await write(group, seconds=0.5, followers=(B,))
        rotation.distrust(A)
        await write(group, seconds=1.0, followers=(B,))  # connected, online, and a second behind
        assert list(rotation.fit) == [B]
        await write(group, seconds=0.5, followers=(A, B))
        assert list(rotation.fit) == [A, B]


@virtual
async def test_replicas_that_do_not_acknowledge_yet_cannot_confirm() -> None:
    group = Group()
    async with rotating(group) as rotation:
        assert (rotation.confirming, rotation.syncing) == (2, False)
        group.listed[A] = ("wait_bgsave", 0)
        await asyncio.sleep(2)
        assert (rotation.confirming, rotation.syncing) == (1, True)
        group.forbidden.add("INFO")
        await asyncio.sleep(2)
        assert (rotation.confirming, rotation.syncing) == (None, False)
