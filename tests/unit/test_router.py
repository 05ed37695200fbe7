from __future__ import annotations

from itertools import product

import pytest

from sahool_cache.address import Address
from sahool_cache.routing.router import ReadFrom, candidates
from sahool_cache.routing.topology import Topology

M, A, B = (Address("h", port) for port in (1, 2, 3))
Tiers = tuple[tuple[Address, ...], ...]

# read_from -> the tiers with (a master and replicas, a master alone, replicas alone, nobody)
READS: dict[ReadFrom, tuple[Tiers, Tiers, Tiers, Tiers]] = {
    "master": (((M,),), ((M,),), (), ()),
    "replica": (((A, B),), (), ((A, B),), ()),
    "replica_preferred": (((A, B), (M,)), ((M,),), ((A, B),), ()),
    "nearest": (((M, A, B),), ((M,),), ((A, B),), ()),
}
GROUPS: tuple[tuple[Address | None, tuple[Address, ...]], ...] = (
    (M, (A, B)), (M, ()), (None, (A, B)), (None, ()),
)  # fmt: skip


@pytest.mark.parametrize("read_from", READS)
@pytest.mark.parametrize("place", range(4))
def test_where_a_read_may_go(read_from: ReadFrom, place: int) -> None:
    master, fit = GROUPS[place]
    topology = Topology(master=master, replicas=(A, B), in_rotation=fit)
    assert candidates(reads=True, read_from=read_from, topology=topology) == READS[read_from][place]


def test_a_write_goes_to_the_master_or_nowhere() -> None:
    for read_from, (master, fit) in product(READS, GROUPS):
        topology = Topology(master=master, replicas=(A, B), in_rotation=fit)
        tiers = candidates(reads=False, read_from=read_from, topology=topology)
        assert tiers == (((M,),) if master else ())


def test_a_replica_out_of_rotation_is_nobodys_candidate() -> None:
    topology = Topology(master=M, replicas=(A, B), in_rotation=(B,))
    for reads, read_from in product((True, False), READS):
        tiers = candidates(reads=reads, read_from=read_from, topology=topology)
        assert A not in [address for tier in tiers for address in tier]


def test_a_provisional_snapshot_comes_after_its_epoch_and_before_the_next() -> None:
    orders = [
        Topology(epoch=epoch, provisional=provisional).order
        for epoch, provisional in ((4, False), (4, True), (5, False), (5, True))
    ]
    assert orders == sorted(orders)
    assert len(set(orders)) == 4


def test_a_snapshot_is_told_in_one_line() -> None:
    text = str(Topology(master=M, replicas=(A, B), epoch=3, provisional=True))
    assert text == "epoch 3?: master h:1, replicas h:2, h:3"
    assert str(Topology()) == "epoch 0: master None, replicas none"


def test_a_promotion_makes_the_old_master_a_replica_that_nobody_reads_yet() -> None:
    before = Topology(master=B, replicas=(A, M), in_rotation=(A, M), sentinels=(A,), epoch=3)
    assert before.promoted(M) == Topology(
        master=M, replicas=(A, B), sentinels=(A,), epoch=3, provisional=True
    )
    assert Topology().promoted(M) == Topology(master=M, provisional=True)
