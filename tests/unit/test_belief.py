from __future__ import annotations

import pytest

from sahool_cache.address import Address
from sahool_cache.routing.belief import DISSENT_LASTS, Belief
from sahool_cache.routing.discovery import SentinelView
from sahool_cache.routing.topology import Topology

OLD, NEW, THIRD = (Address("h", port) for port in (6379, 6380, 6381))
CURRENT = Topology(master=OLD, epoch=5)
PROVISIONAL = Topology(master=NEW, epoch=5, provisional=True)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def seen(*told: tuple[Address, int], flags: str = "master") -> dict[Address, SentinelView]:
    return {
        Address(f"s{n}", 26379): SentinelView(
            sentinel=Address(f"s{n}", 26379), run_id=f"id{n}", master=master, epoch=epoch,
            flags=frozenset(flags.split(",")), down_after=1.0, quorum=2,
        )
        for n, (master, epoch) in enumerate(told)
    }  # fmt: skip


class Case:
    def __init__(self) -> None:
        self.time = Time()
        self.belief = Belief(self.time)

    def follows(
        self, current: Topology, views: dict[Address, SentinelView], *, known: int = 3
    ) -> bool:
        newest = max(views.values(), key=lambda view: view.epoch)
        return self.belief.supersedes(newest, current, views, known=known)


def test_anything_is_better_than_no_master() -> None:
    assert Case().follows(Topology(), seen((OLD, 0)))


@pytest.mark.parametrize(
    ("current", "epoch", "expected"),
    [(CURRENT, 6, True), (CURRENT, 5, False), (CURRENT, 4, False),
     (PROVISIONAL, 6, True), (PROVISIONAL, 5, False)],
)  # fmt: skip
def test_one_sentinel_with_a_newer_epoch_is_enough_and_with_no_newer_one_is_not(
    current: Topology, epoch: int, expected: bool
) -> None:
    assert Case().follows(current, seen((THIRD, epoch))) is expected


def test_an_older_epoch_is_believed_at_once_when_everybody_says_so() -> None:
    assert Case().follows(CURRENT, seen((THIRD, 0), (THIRD, 0), (THIRD, 0)))


def test_disagreement_is_never_believed() -> None:
    case = Case()
    for _ in range(20):
        case.time.now += 1.0
        assert not case.follows(CURRENT, seen((THIRD, 4), (THIRD, 4), (NEW, 4)))
        assert not case.follows(CURRENT, seen((THIRD, 4), (THIRD, 4), (THIRD, 3)))


def test_a_minority_is_never_believed() -> None:
    case = Case()
    case.belief.disowned = True
    for _ in range(20):
        case.time.now += 1.0
        assert not case.follows(CURRENT, seen((THIRD, 4)))
        assert not case.follows(CURRENT, seen((THIRD, 4), (THIRD, 4)), known=4)


def test_a_lasting_majority_is_believed_though_one_sentinel_is_gone_for_good() -> None:
    case, majority = Case(), seen((THIRD, 0), (THIRD, 0))
    assert not case.follows(CURRENT, majority)
    case.time.now += DISSENT_LASTS - 0.1
    assert not case.follows(CURRENT, majority)
    case.time.now += 0.2
    assert case.follows(CURRENT, majority)


@pytest.mark.parametrize("interruption", ["settle", "minority", "disagreement"])
def test_a_majority_must_last_without_interruption(interruption: str) -> None:
    case, majority = Case(), seen((THIRD, 0), (THIRD, 0))
    assert not case.follows(CURRENT, majority)
    case.time.now += DISSENT_LASTS - 0.1
    if interruption == "settle":
        case.belief.settle()
    elif interruption == "minority":
        assert not case.follows(CURRENT, seen((THIRD, 0)))
    else:
        assert not case.follows(CURRENT, seen((THIRD, 0), (NEW, 0)))
    case.time.now += 0.2
    assert not case.follows(CURRENT, majority)
    case.time.now += DISSENT_LASTS
    assert case.follows(CURRENT, majority)


def test_a_promotion_followed_early_is_left_at_once_when_its_server_disowns_it() -> None:
    case = Case()
    everybody = seen((OLD, 5), (OLD, 5), (OLD, 5))
    assert not case.follows(PROVISIONAL, everybody)
    case.belief.disowned = True
    assert case.follows(PROVISIONAL, everybody)
    assert case.follows(PROVISIONAL, seen((OLD, 5), (OLD, 5)))
    case.belief.settle()
    assert not case.follows(PROVISIONAL, everybody)


def test_a_promotion_followed_early_is_kept_while_the_failover_is_under_way() -> None:
    case = Case()
    under_way = seen((OLD, 5), (OLD, 5), (OLD, 5), flags="master,failover_in_progress")
    assert not case.follows(PROVISIONAL, under_way)
    case.time.now += 2 * DISSENT_LASTS
    assert not case.follows(PROVISIONAL, under_way)
    assert case.follows(PROVISIONAL, seen((OLD, 5), (OLD, 5), (OLD, 5)))
