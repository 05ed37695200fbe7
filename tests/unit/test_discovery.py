from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from sahool_cache.address import Address
from sahool_cache.routing.discovery import NotMonitored, SentinelView, questions, read_view

SENTINEL = Address("10.0.0.9", 26379)
RUN_ID = "83913da0a9c534e1ba46357e3c542117a0defe56"
PEER_ID = "3e998dba1438dbc5d18234ddcfacf16725270f17"

MASTER = {
    "name": "m", "ip": "10.0.0.1", "port": "6379", "runid": "af85", "flags": "master",
    "role-reported": "master", "config-epoch": "7", "num-slaves": "2",
    "num-other-sentinels": "2", "quorum": "2", "down-after-milliseconds": "1500",
}  # fmt: skip
REPLICAS = [
    {"name": "10.0.0.2:6379", "ip": "10.0.0.2", "port": "6379", "flags": "slave",
     "master-link-status": "ok"},
    {"name": "10.0.0.3:6380", "ip": "10.0.0.3", "port": "6380", "flags": "s_down,slave",
     "master-link-status": "err"},
]  # fmt: skip
PEERS = [
    {"name": PEER_ID, "ip": "10.0.0.8", "port": "26379", "runid": PEER_ID, "flags": "sentinel"}
]


def replies() -> list[Any]:
    return [RUN_ID, ["10.0.0.1", "6379"], dict(MASTER), [dict(r) for r in REPLICAS], PEERS]


def in_resp2(reply: Any) -> Any:
    if isinstance(reply, dict):
        return [each.encode() for each in chain.from_iterable(reply.items())]
    if isinstance(reply, list):
        return [in_resp2(each) for each in reply]
    return reply.encode()


def view(told: list[Any]) -> SentinelView:
    return read_view(SENTINEL, "m", told, lambda address: address)


def test_a_view_holds_what_the_sentinel_told() -> None:
    assert view(replies()) == SentinelView(
        sentinel=SENTINEL,
        run_id=RUN_ID,
        master=Address("10.0.0.1", 6379),
        epoch=7,
        flags=frozenset({"master"}),
        down_after=1.5,
        quorum=2,
        replicas={
            Address("10.0.0.2", 6379): frozenset({"slave"}),
            Address("10.0.0.3", 6380): frozenset({"slave", "s_down", "link_err"}),
        },
        peers={PEER_ID: Address("10.0.0.8", 26379)},
    )


def test_bytes_and_flat_lists_are_read_like_text_and_maps() -> None:
    assert view(in_resp2(replies())) == view(replies())


def test_one_question_is_asked_for_each_reply() -> None:
    asked = questions("m")
    assert len(asked) == len(replies())
    assert all(command[0] == "SENTINEL" for command in asked)
    assert [command[-1] for command in asked[1:]] == ["m"] * 4


def test_the_address_is_that_of_get_master_addr() -> None:
    told = replies()
    told[1] = ["10.0.0.2", "6379"]  # the leader of a failover tells this a second earlier
    assert view(told).master == ("10.0.0.2", 6379)


def test_every_address_becomes_a_reachable_one() -> None:
    seen = read_view(SENTINEL, "m", replies(), lambda a: Address("outside", a.port + 10_000))
    addresses = {seen.master, *seen.replicas, *seen.peers.values()}
    assert addresses == {("outside", port) for port in (16379, 16380, 36379)}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("master", False),
        ("master,disconnected", False),
        ("s_down,master", True),
        ("s_down,o_down,master", True),
        ("master,failover_in_progress,force_failover", True),
        ("", False),
    ],
)
def test_a_failover_is_in_sight(flags: str, expected: bool) -> None:
    told = replies()
    told[2]["flags"] = flags
    assert view(told).failover_in_sight is expected


@pytest.mark.parametrize(
    ("place", "reply"),
    [
        (2, ResponseError("ERR No such master with that name")),
        (2, ResponseError("No such master with that name")),
        (1, None),
        (1, []),
    ],
)
def test_another_groups_sentinel_is_told_from_a_broken_one(place: int, reply: Any) -> None:
    told = replies()
    told[place] = reply
    with pytest.raises(NotMonitored, match="'m'"):
        view(told)


@pytest.mark.parametrize("place", [1, 2])
def test_a_refusal_of_what_matters_is_raised_as_it_is(place: int) -> None:
    told, refusal = replies(), NoPermissionError("no")
    told[place] = refusal
    with pytest.raises(NoPermissionError) as caught:
        view(told)
    assert caught.value is refusal


def test_a_refusal_of_a_detail_costs_that_detail_only() -> None:
    told = replies()
    told[0] = told[3] = told[4] = NoPermissionError("no")
    seen = view(told)
    assert (seen.run_id, seen.replicas, seen.peers) == ("", {}, {})
    assert (seen.master, seen.epoch) == (("10.0.0.1", 6379), 7)


def test_rows_without_an_address_are_left_out() -> None:
    told = replies()
    told[3] = [*REPLICAS, {"name": "?", "ip": "", "port": "0"}, {}]
    assert len(view(told).replicas) == 2


def test_what_is_missing_has_a_default() -> None:
    told = replies()
    told[2] = {}
    seen = view(told)
    assert (seen.epoch, seen.down_after, seen.quorum) == (0, 30.0, 0)
