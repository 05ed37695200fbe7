from __future__ import annotations

import math

import pytest

from sahool_cache.routing.stream import SAMPLES, Stream


def stream(*samples: tuple[float, int]) -> Stream:
    made = Stream()
    for at, offset in samples:
        made.note(at, offset)
    return made


STEADY = ((10.0, 1000), (11.0, 2000), (12.0, 2000), (13.0, 4000))


@pytest.mark.parametrize(
    ("offset", "seconds"),
    [
        (4000, 0.0),
        (9999, 0.0),
        (3000, 1.0),
        (2000, 1.5),
        (1500, 3.0),
        (1000, 3.5),
        (999, math.inf),
    ],
)
def test_a_lag_is_the_time_since_the_master_was_there(offset: int, seconds: float) -> None:
    assert stream(*STEADY).behind(offset, 13.5) == pytest.approx(seconds)


def test_nobody_is_behind_a_master_that_has_told_nothing() -> None:
    assert stream().behind(0, 5.0) == 0.0
    assert stream().caught_up(0)


def test_who_has_all_up_to_the_sample_before_the_last_has_caught_up() -> None:
    made = stream(*STEADY)
    assert made.caught_up(2000)
    assert not made.caught_up(1999)
    assert stream((10.0, 1000)).caught_up(1000)
    assert not stream((10.0, 1000)).caught_up(999)


def test_a_shorter_stream_is_another_one() -> None:
    made = stream(*STEADY, (14.0, 50))
    assert made.behind(50, 14.0) == 0.0
    assert made.behind(49, 14.0) == math.inf


def test_the_oldest_samples_are_forgotten() -> None:
    made = stream(*((float(n), n) for n in range(3 * SAMPLES)))
    assert made.behind(2 * SAMPLES, 3.0 * SAMPLES) == pytest.approx(SAMPLES)
    assert made.behind(SAMPLES, 3.0 * SAMPLES) == math.inf
