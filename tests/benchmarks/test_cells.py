from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.group import started
from tests.benchmarks.model import Cell, Loop, Result, Target
from tests.benchmarks.plan import Timing, recipes
from tests.benchmarks.processes import cores
from tests.benchmarks.runner import Runner

LINUX = sys.platform == "linux"


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with started() as target:
        yield target


@pytest.fixture
def runner(target: Target, tmp_path: Path) -> Runner:
    return Runner(target, tmp_path)


def cell(work: str, client: str, loop: Loop = "asyncio", tasks: int = 1) -> Cell:
    return Cell(work=work, client=client, loop=loop, tasks=tasks, seconds=0.05, warm_up=0.0)


def check(result: Result) -> None:
    assert result.trouble is None
    assert result.measured
    assert result.cpu > 0
    assert 0 < result.rss <= result.peak_rss
    if LINUX:
        assert result.master_cpu is not None
        assert 0 < result.master_cpu < 1
        assert result.core == (cores()[0] if len(cores()) > 1 else result.core)


def test_a_cell_measures_what_it_is_told_to(runner: Runner) -> None:
    (result,) = runner.together([cell("mix-100", "ours", tasks=20)])
    check(result)
    assert result.commands > 20
    assert 0.05 <= result.seconds < 1
    assert result.p50 is not None
    assert result.p99 is not None
    assert result.p999 is not None
    assert 0 < result.p50 <= result.p99 <= result.p999


def test_cells_that_wait_work_at_the_same_time(runner: Runner) -> None:
    results = runner.together(
        [
            Cell(work="pipeline-1000", client=client, seconds=0.05, warm_up=0.0, waits=True)
            for client in ("ours", "redis-py")
        ]
    )
    for result in results:
        check(result)
        assert result.commands % 1000 == 0


def test_a_number_of_commands_is_kept(runner: Runner) -> None:
    (result,) = runner.together(
        [Cell(work="memory", client="ours", tasks=10, commands=1000, rounds=4, warm_up=0.0)]
    )
    check(result)
    assert result.commands == 1000
    assert len(result.rss_by_round) == 4


def test_how_soon_a_write_is_seen_is_measured(runner: Runner) -> None:
    (result,) = runner.together([Cell(work="invalidation", client="redis-py", commands=5)])
    assert result.trouble is None
    assert result.commands == 5
    assert result.p99 is not None


def test_a_setting_that_is_not_there_fails_its_cell_only(runner: Runner) -> None:
    unknown = Cell(work="get-1", client="ours, magic", options={"magic": True}, waits=True)
    refused, other = runner.together([unknown, cell("get-1", "redis-py")])
    assert not refused.measured
    assert "not available" in str(refused.trouble)
    check(other)


def test_a_client_that_is_not_installed_is_absent(runner: Runner) -> None:
    (result,) = runner.together([cell("get-1", "ioredis", "node")])
    assert result.absent is not None
    assert result.trouble is None


@pytest.mark.parametrize("number", range(len(recipes(Timing()))))
def test_recipes_are_measured(runner: Runner, number: int) -> None:
    group = recipes(Timing(seconds=0.05, warm_up=0.0))[number]
    for result in runner.together(group):
        if result.absent is None:
            check(result)


def test_a_client_that_answers_wrongly_is_found_out(runner: Runner) -> None:
    (result,) = runner.together(
        [Cell(work="get-1", client="redis-py", value_bytes=77, seconds=0.05, warm_up=0.0)]
    )
    assert "NoneType" in str(result.trouble)
