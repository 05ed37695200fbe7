"""
The limiter of one process on its own, against the exact model of GCRA.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sahool_cache.recipes.limiting import local
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.local import LocalLimiter
from tests.recipes.limiter.models import Gcra

MINUTE = 60_000_000


def passes(limiter: LocalLimiter, now: int, cost: int = 1, name: str = "u") -> bool:
    return not any(standing.retry_after for standing in limiter.take(name, cost, now))


steps = st.tuples(
    st.sampled_from(["take", "refund", "peek"]), st.integers(1, 5), st.integers(0, 99)
)


@settings(deadline=None)
@given(
    most=st.integers(1, 30),
    processes=st.integers(1, 6),
    window=st.integers(1000, 1100),
    steps=st.lists(steps, max_size=40),
)
def test_it_is_gcra_with_a_share_of_the_limit(
    most: int, processes: int, window: int, steps: list[tuple[str, int, int]]
) -> None:
    share = max(1, most // processes)
    limiter = LocalLimiter((Limit(most, window / 1e6),), processes)
    model, now = Gcra(share, window), 10**12
    for do, cost, later in steps:
        now += later
        cost = min(cost, share)  # noqa: PLW2901
        took = do == "take" and model.fits(cost, now)
        if took:
            model.take(cost, now)
        elif do == "refund":
            model.refund(cost, now)
        asked = 1 if do == "peek" else cost
        (standing,) = (
            limiter.peek("u", now) if do == "peek" else getattr(limiter, do)("u", cost, now)
        )
        assert standing.remaining == model.remaining(now)
        assert standing.reset_after == model.reset_after(now)
        assert standing.retry_after == (0 if took else model.retry_after(asked, now))


def test_what_costs_more_than_the_share_passes_and_is_paid_for_in_time() -> None:
    limiter = LocalLimiter((Limit(10, 60),), processes=5)  # a share of 2, one each 30 s
    assert passes(limiter, 0, cost=7)
    assert limiter.peek("u", 0)[0].remaining == 0
    assert not passes(limiter, 3 * MINUTE + MINUTE // 2 - 1, cost=7)
    assert passes(limiter, 3 * MINUTE + MINUTE // 2, cost=7)


def test_several_limits_are_all_or_nothing() -> None:
    limiter = LocalLimiter((Limit(2, 1), Limit(3, 60)), processes=1)
    assert [passes(limiter, 0) for _ in range(4)] == [True, True, False, False]
    assert [standing.remaining for standing in limiter.peek("u", 0)] == [0, 1]


def test_it_remembers_only_so_many_ids() -> None:
    limiter = LocalLimiter((Limit(1, 60),), processes=1)
    for number in range(local.KEPT + 10):
        assert passes(limiter, 0, name=str(number))
    assert len(limiter._times) == local.KEPT
    assert not passes(limiter, 0, name=str(local.KEPT))
    assert passes(limiter, 0, name="0")
    limiter.peek("only looked at", 0)
    limiter.refund("only looked at", 1, 0)
    assert "only looked at" not in limiter._times


def test_what_was_counted_longest_ago_is_forgotten_first() -> None:
    limiter = LocalLimiter((Limit(9, 60),), processes=1)
    for number in (*range(local.KEPT), 0, local.KEPT):
        assert passes(limiter, 0, name=str(number))
    assert "0" in limiter._times
    assert "1" not in limiter._times


def test_it_forgets_one_or_all() -> None:
    limiter = LocalLimiter((Limit(1, 60),), processes=1)
    assert all(passes(limiter, 0, name=name) for name in "ab")
    limiter.forget("a")
    assert [passes(limiter, 0, name=name) for name in "ab"] == [True, False]
    limiter.forget()
    assert all(passes(limiter, 0, name=name) for name in "ab")
