from __future__ import annotations

import pytest

from tests.benchmarks.bars import FIGURES
from tests.benchmarks.plan import Timing, chosen, table
from tests.benchmarks.ratios import by_key, median_of, paired, percentile
from tests.benchmarks.results import made
from tests.benchmarks.runner import interleaved

RATE = FIGURES["rate"]


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (50, 51.0), (99, 100.0), (99.9, 100.0), (100, 100.0)]
)
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], percent) == value


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 50) is None


def test_ratios_are_paired_by_repetition() -> None:
    """
    The machine was three times slower in the second repetition, for both alike.
    """
    ours = {rep: made("get-1", "ours", rate, rep=rep) for rep, rate in enumerate((300, 100, 330))}
    theirs = {
        rep: made("get-1", "redis-py", rate, rep=rep) for rep, rate in enumerate((100, 33, 100))
    }
    ratio = paired(ours, theirs, RATE)
    assert ratio is not None
    assert ratio.middle == pytest.approx(100 / 33)
    assert (ratio.low, ratio.high) == (3.0, 3.3)
    assert str(ratio) == "3.03x (3.00x..3.30x)"


def test_differences_are_paired_likewise() -> None:
    ours = {rep: made("get-1", "ours", rate, rep=rep) for rep, rate in enumerate((110, 45, 120))}
    theirs = {
        rep: made("get-1", "redis-py", each, rep=rep) for rep, each in enumerate((100, 30, 98))
    }
    above = paired(ours, theirs, RATE, difference=True)
    assert str(above) == "15 (10..22)"


def test_a_repetition_without_its_pair_does_not_count() -> None:
    ours = {0: made("get-1", "ours", 300), 1: made("get-1", "ours", 900, rep=1)}
    ratio = paired(ours, {0: made("get-1", "redis-py", 100)}, RATE)
    assert ratio is not None
    assert ratio.middle == ratio.high == 3.0
    assert paired(ours, {}, RATE) is None


def test_a_median_leaves_out_what_has_no_figure() -> None:
    results = {n: made("get-1", "ours", 1, rep=n, p99=p99) for n, p99 in enumerate((1.0, None, 3))}
    assert median_of(results, FIGURES["p99"]) == 2.0
    assert median_of({}, FIGURES["p99"]) is None


def test_a_cell_that_failed_has_no_figures() -> None:
    good, bad = made("get-1", "ours", 5), made("get-1", "redis-py", 5, trouble="fell over")
    assert list(by_key([good, bad])) == [("get-1", "ours", "asyncio")]


def test_each_repetition_plays_every_cell_in_another_order() -> None:
    groups = table(Timing())
    played = list(interleaved(groups, 3))
    by_rep = [[cell.name for rep, cell in played if rep == n] for n in range(3)]
    assert len(by_rep[0]) == len(set(by_rep[0]))
    assert sorted(by_rep[0]) == sorted(by_rep[1]) == sorted(by_rep[2])
    assert len({names[0] for names in by_rep}) == 3


def test_what_is_compared_stands_together() -> None:
    groups = chosen(table(Timing()), works=["get-1"], clients=["ours"], loops=["asyncio"])
    assert [[cell.client for cell in group] for group in groups] == [["redis-py", "ours"]]
    first, second = (
        [cell.client for rep, cell in interleaved(groups, 2) if rep == n] for n in (0, 1)
    )
    assert first == second[::-1]
