"""
Whatever the order of events, no read is older than the bound, or than what had been heard.

`NEAR_CACHE_SEED=123` replays one course and prints it; `NEAR_CACHE_COUNT` says how many are played.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from sahool_cache.near_cache.fills import Fills
from sahool_cache.near_cache.source import Source
from sahool_cache.near_cache.store import Shelf
from tests.near_cache.schedule import Course, run

COUNT = int(os.environ.get("NEAR_CACHE_COUNT", "300"))
BATCHES = 4


def told(course: Course, *, whole: bool = False) -> str:
    trace = course.trace if whole else []
    return "\n".join([*trace, *course.problems[:5], f"replay: NEAR_CACHE_SEED={course.seed}"])


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_read_is_older_than_it_may_be(batch: int) -> None:
    reads = hits = faults = 0
    for seed in range(batch + 1, COUNT + 1, BATCHES):
        course = run(seed)
        assert not course.problems, told(course)
        reads, hits, faults = reads + course.reads, hits + course.hits, faults + course.faults
    assert reads > hits > 0.2 * reads
    assert faults > COUNT / BATCHES


def test_a_seed_plays_the_same_course_again() -> None:
    assert run(7).trace == run(7).trace


def test_the_seed_that_is_asked_for() -> None:
    seed = os.environ.get("NEAR_CACHE_SEED")
    if seed is None:
        pytest.skip("none is")
    course = run(int(seed))
    print(told(course, whole=True))  # noqa: T201  # this is what it is for
    assert not course.problems


def _always(self: Any, fill: Any) -> bool:
    return True


def _never(self: Any, name: str) -> bool:
    return False


def _trusting(self: Any, asked_at: float) -> None:
    self.shelf.trusted = float("inf")


def _untouched(self: Any, why: str) -> None:
    self._tracking, self._ping = None, None


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Fills, "forget", _always),
        (Fills, "drop", _never),
        (Shelf, "drop", _never),
        (Source, "_trust", _trusting),
        (Source, "_untrack", _untouched),
        (Source, "flush", lambda self, why: None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_model_sees_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert any(run(seed).problems for seed in range(1, 400))
