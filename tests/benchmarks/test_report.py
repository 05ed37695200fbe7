from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import store
from tests.benchmarks.bars import judge
from tests.benchmarks.chart import draw
from tests.benchmarks.charts import distances, ratios
from tests.benchmarks.growth import growth_lines
from tests.benchmarks.instructions import Count, compared
from tests.benchmarks.model import Cell, Result
from tests.benchmarks.report import show
from tests.benchmarks.results import made

RESULTS = [
    made("get-100", "redis-py", 17_000, foreign_cpu=0.03),
    made("get-100", "ours", 204_000, cpu=0.612, foreign_cpu=0.07),
    made("get-100", "ioredis", 34_000, loop="node"),
    Result(cell=Cell(work="get-100", client="coredis"), absent="coredis is not installed"),
    Result(cell=Cell(work="get-1", client="ours"), trouble="fell over"),
]


def test_the_table_tells_rates_and_ratios() -> None:
    cells = [result.cell for result in RESULTS]
    text = show(RESULTS, judge(RESULTS, cells))
    told = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "get-100 asyncio ours 204k 12.0x 3 10 20",
        "get-100 asyncio redis-py 17,000 1.00x 58.8 10 20",
        "get-100 node ioredis 34,000 2.00x 29.4 10 20",
        "get-1 | ours | asyncio: fell over",
        "coredis: left out, coredis is not installed",
        "get-100 (asyncio): rate of ours to redis-py 12.0x at least 10.0x 14.0x",
        "Every bar is reached.",
    ):
        assert line in told, text
    assert "took 7 % of a core in the median cell, 7 % at most" in text


def test_what_was_missed_is_named_last() -> None:
    slow = [made("mix-100", "redis-py", 10), made("mix-100", "ours", 20)]
    text = show(slow, judge(slow, [result.cell for result in slow]))
    assert text.endswith("missed: mix-100 (asyncio): rate of ours to redis-py")


def test_charts_are_pictures() -> None:
    for chart in (ratios(RESULTS), distances({"near": RESULTS, "far": RESULTS})):
        drawn = draw(chart)
        ET.fromstring(drawn)  # noqa: S314  # our own
        assert "12x" in drawn


def test_bars_are_as_long_as_their_values_say() -> None:
    lengths = draw(ratios(RESULTS)).split("H")[1:]
    ours, ioredis, redis_py = (float(each.split("V")[0]) - 250 for each in lengths[::2])
    assert ours / redis_py == pytest.approx(12, rel=0.01)
    assert ioredis / redis_py == pytest.approx(2, rel=0.01)


def test_processes_that_worked_together_are_one_line() -> None:
    def of(rep: int, rate: float, p99: float) -> Result:
        cell = Cell(work="get-100", client="ours", tasks=100, processes=2, waits=True)
        return Result(cell=cell, rep=rep, commands=int(rate), seconds=1.0, cpu=1.0, p99=p99)

    results = [of(0, 100, 5), of(0, 120, 7), of(1, 200, 6), of(1, 300, 9)]
    (line,) = growth_lines(results)
    assert line == ("get-100", "ours", "2", "100", "100", "360", "6,667", "", "8", "0")


def test_a_count_that_grew_or_went_away_is_told() -> None:
    counts = [
        Count(client="redis-py", work="get-100", instructions=300_000.0),
        Count(client="ours", work="get-100", instructions=34_000.0),
        Count(client="ours", work="get-1", instructions=None, trouble="fell over"),
        Count(client="ours", work="set-100", instructions=90_000.0),
    ]
    names = ("ours: get-100", "ours: get-1")
    text, missed = compared(counts, dict.fromkeys(names, 0.1))
    assert missed == 2
    assert "GROWN" in text
    assert "fell over" in text
    assert compared(counts, {"ours: get-100": 34 / 300 / 1.09})[1] == 0
    text, missed = compared(counts, {})
    assert missed == 0
    assert "Nothing is recorded" in text


def test_a_part_that_is_measured_again_leaves_the_others(tmp_path: Path) -> None:
    store.save(tmp_path, "table", RESULTS)
    store.save(tmp_path, "memory", RESULTS[:1])
    store.save(tmp_path, "memory", RESULTS[:2])
    parts = store.load(tmp_path)
    assert store.results_of(parts["table"]) == RESULTS
    assert store.results_of(parts["memory"]) == RESULTS[:2]
    assert parts["memory"]["machine"]["python"]


def test_a_work_that_is_measured_again_takes_its_own_place(tmp_path: Path) -> None:
    old = [made("get-1", "ours", 10), made("get-100", "ours", 20)]
    store.save(tmp_path, "table", old)
    parts = store.load(tmp_path)
    assert store.others_of(parts, "table", ["get-100"]) == old[:1]
    assert store.others_of(parts, "table", []) == []
    assert store.others_of({}, "table", ["get-1"]) == []
