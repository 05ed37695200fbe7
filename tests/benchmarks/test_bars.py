from __future__ import annotations

import pytest

from tests.benchmarks.bars import BARS, judge
from tests.benchmarks.memory import memory_cell
from tests.benchmarks.model import Cell, Result
from tests.benchmarks.plan import Timing, recipes, table
from tests.benchmarks.ratios import key_of
from tests.benchmarks.report import bar_line
from tests.benchmarks.results import made


def planned(*results: Result) -> list[Cell]:
    return [result.cell for result in results]


def passed(*results: Result) -> dict[str, bool]:
    return {verdict.bar.name: verdict.passed for verdict in judge(results, planned(*results))}


RATE = "get-1 (asyncio): rate of ours to redis-py"
P99 = "get-1 (asyncio): p99 of ours to redis-py"


def test_a_bar_holds_at_its_limit_and_not_below() -> None:
    redis_py = made("get-1", "redis-py", 1000)
    assert passed(redis_py, made("get-1", "ours", 1250)) == {RATE: True, P99: True}
    assert passed(redis_py, made("get-1", "ours", 1249)) == {RATE: False, P99: True}


def test_a_latency_must_not_be_higher() -> None:
    redis_py = made("get-1", "redis-py", 1000, p99=20.0)
    assert passed(redis_py, made("get-1", "ours", 2000, p99=20.1)) == {RATE: True, P99: False}


def test_a_cell_without_figures_fails_its_bars() -> None:
    redis_py = made("get-1", "redis-py", 1000)
    assert not any(passed(redis_py, made("get-1", "ours", 0, trouble="fell over")).values())
    missing = judge([redis_py], [redis_py.cell, made("get-1", "ours", 1).cell])
    assert [verdict.passed for verdict in missing] == [False, False]


def test_a_peer_that_is_not_installed_is_passed_over() -> None:
    ours = made("get-100", "ours", 1000, cpu=0.003)
    peer = Result(cell=made("get-100", "coredis", 1).cell, absent="coredis is not installed")
    verdicts = {each.bar.against: each for each in judge([ours, peer], planned(ours, peer))}
    assert verdicts["coredis"].passed
    assert verdicts["coredis"].skipped == "coredis is not installed"
    assert verdicts[None].passed


def test_a_bar_without_a_peer_takes_the_figure_itself() -> None:
    for cpu, holds in ((0.004, True), (0.0041, False)):
        results = passed(made("get-100", "ours", 1000, cpu=cpu))
        assert results == {"get-100 (asyncio): CPU per command in us of ours": holds}


@pytest.mark.parametrize(("cpu", "holds"), [(0.0189, True), (0.0191, False)])
def test_a_hit_may_cost_fifteen_microseconds_above_its_get(cpu: float, holds: bool) -> None:
    hit = made("cache-hit-100", "ours", 1000, cpu=cpu)
    get = made("cache-hit-100", "ours, GET alone", 1000, cpu=0.004)
    (verdict,) = judge([hit, get], planned(hit, get))
    assert verdict.bar.name == (
        "cache-hit-100 (asyncio): CPU per command in us of ours above ours, GET alone"
    )
    assert verdict.passed is holds
    assert bar_line(verdict)[1:4] == (f"{1e3 * cpu - 4:.3g}", "at most 15", "6")


def test_reads_from_replicas_must_leave_the_master_half_of_its_work() -> None:
    ours = made("spread-1000", "ours", 1000, master_cpu=0.4)
    for left, holds in ((0.2, True), (0.21, False)):
        spread = made("spread-1000", "ours, replicas", 900, master_cpu=left)
        rate, master = judge([ours, spread], planned(ours, spread))
        assert rate.passed
        assert master.passed is holds


@pytest.mark.parametrize(("last", "holds"), [(12_048, True), (12_049, False)])
def test_memory_may_grow_by_two_megabytes(last: int, holds: bool) -> None:
    cell = memory_cell(1000)
    result = Result(cell=cell, commands=1000, seconds=1.0, rss_by_round=(10_000, 12_500, last))
    (verdict,) = judge([result], [cell])
    assert verdict.passed is holds


def test_every_bar_is_about_cells_that_are_played() -> None:
    played = {key_of(cell) for group in table(Timing()) + recipes(Timing()) for cell in group}
    played.add(key_of(memory_cell()))
    assert not [bar.name for bar in BARS if not played.issuperset(bar.keys)]
