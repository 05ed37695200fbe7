from __future__ import annotations

from typing import Any

import pytest

from sahool_cache.address import Address
from sahool_cache.routing.topology import Topology
from sahool_cache.wiring.causality import Causality, Moment

MASTER = Address("10.0.0.1", 1)
TOPOLOGY = Topology(master=MASTER, epoch=3)
SAYS_100 = ["master", 100, []]


def follower(offset: int, master: Address = MASTER) -> list[Any]:
    return ["slave", master.host, master.port, "connected", offset]


def held(causality: Causality, role: Any, topology: Topology = TOPOLOGY) -> bool:
    return causality.held_by(role, topology, lambda address: address)


@pytest.mark.parametrize(
    "moment",
    [
        Moment(order=(3, False), offset=100),
        Moment(order=(3, True), offset=0),
        Moment(order=(0, False), offset=None),
    ],
)
def test_a_token_carries_its_moment(moment: Moment) -> None:
    assert Moment.parse(str(moment)) == moment


@pytest.mark.parametrize("token", ["", "3", "3:x", "-1:2", "3:2 ", "3++:2", b"3:2", 3, "9" * 30])
def test_what_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(ValueError, match="after"):
        Moment.parse(token)


def test_of_two_moments_the_later_master_counts_and_then_the_larger_offset() -> None:
    early = Moment(order=(3, False), offset=900)
    late = Moment(order=(3, True), offset=100)
    assert early | late == late | early == late
    more = Moment(order=(3, True), offset=200)
    assert late | more == more | late == more
    untold = Moment(order=(3, True), offset=None)
    assert more | untold == untold | more == untold


def test_a_replica_has_a_write_once_it_is_as_far_in_the_same_masters_stream() -> None:
    causality = Causality()
    assert held(causality, None), "nothing was written yet"
    causality.wrote(TOPOLOGY, SAYS_100)
    assert not held(causality, follower(99))
    assert held(causality, follower(100))
    assert held(causality, [b"slave", b"10.0.0.1", 1, b"connected", 101])
    assert not held(causality, follower(500, Address("10.0.0.9", 1)))
    assert not held(causality, follower(500), Topology(master=MASTER, epoch=4))
    for no_role in (None, [], ["slave"], ["master", 500, []]):
        assert not held(causality, no_role)


def test_a_write_whose_place_is_not_known_is_on_the_master_only() -> None:
    causality = Causality()
    causality.wrote(TOPOLOGY, None)
    assert not held(causality, follower(10**9))


def test_a_snapshot_that_is_older_than_the_write_does_not_know_its_master() -> None:
    causality = Causality(Moment.parse("3+:100"))
    assert not causality.known_to(TOPOLOGY)
    assert causality.known_to(Topology(master=MASTER, epoch=3, provisional=True))
    assert causality.known_to(Topology(master=MASTER, epoch=4))
