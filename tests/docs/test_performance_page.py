from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.benchmarks import store
from tests.benchmarks.memory import memory_cell
from tests.benchmarks.model import Cell, Result
from tests.benchmarks.results import made
from tests.docs.performance_page import PAGE, page


def test_the_page_tells_what_was_measured(tmp_path: Path) -> None:
    results = [
        made("get-100", "redis-py", 17_000),
        made("get-100", "ours", 100_000, cpu=0.3),
        Result(cell=Cell(work="get-100", client="coredis"), absent="coredis is not installed"),
    ]
    store.save(tmp_path, "table", results)
    locks = [made("lock-100", "redis-py", 4_000), made("lock-100", "ours", 6_000)]
    store.save(tmp_path, "recipes", locks)
    memory = Result(cell=memory_cell(), commands=10_000_000, seconds=1.0, rss_by_round=(2048, 3072))
    store.save(tmp_path, "memory", [memory])
    counts = [
        {"client": "redis-py", "work": "get-100", "instructions": 300_000.0},
        {"client": "ours", "work": "get-100", "instructions": 33_000.0},
    ]
    store.save(tmp_path, "profile", (), counts=counts)
    grown = Result(cell=Cell(work="small", client="ours, 2 lanes"), commands=9, seconds=1.0)
    store.save(tmp_path, "growth", [grown])
    store.save(tmp_path, "network", (), places={"TLS": msgspec.to_builtins(results)})
    text = page(store.load(tmp_path))
    for line in (
        "| get-100 | asyncio | ours | 100k | 5.88x | 3 | 10 | 20 |  |",
        "| get-100 (asyncio): rate of ours to redis-py | 5.88x | at least 10.0x | 14.0x | **missed** |",  # noqa: E501
        "- coredis: left out, coredis is not installed",
        "| lock-100 | asyncio | ours | 6,000 | 1.50x | 167 | 10 | 20 |  |",
        "| lock-100 (asyncio): rate of ours to redis-py | 1.50x | at least 1.00x | 1.50x |  |",
        "each tenth of 10,000,000 GET by 100 tasks: 2.0, 3.0.",
        "| ours | get-100 | 33,000 | 0.11 |",
        "| small | ours, 2 lanes | 1 | 1 | 100 | 9 | 0 |  |  | 0 |",
        "| get-100 | TLS | 5.88x | 100k | 17,000 | 3 | 58.8 | 10 | 10 | 20 | 20 |",
    ):
        assert line in text, text


def test_what_was_not_measured_is_not_on_the_page(tmp_path: Path) -> None:
    store.save(tmp_path, "table", [made("get-1", "redis-py", 1)])
    text = page(store.load(tmp_path))
    assert "## Our bars" in text
    assert "## Recipes" not in text
    assert "## Memory" not in text
    assert "## Beyond loopback" not in text


def test_the_page_is_there_and_every_bar_is_reached() -> None:
    text = PAGE.read_text()
    assert "**missed**" not in text
    assert "## Our bars" in text
    for plot in re.findall(r"\]\((performance/[a-z]+\.svg)\)", text):
        assert (PAGE.parent / plot).exists()
