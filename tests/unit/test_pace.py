from __future__ import annotations

from random import Random

import pytest

from sahool_cache.routing.pace import CAP, DOUBT_LASTS, FIRST, WATCHFUL, Pace


class Time:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def a_pace(every: float = 5.0) -> tuple[Pace, Time]:
    time = Time()
    return Pace(every=every, now=time, random=Random(1)), time


def near(seconds: float) -> object:
    return pytest.approx(seconds, rel=0.2)


def test_calm_rounds_come_at_the_interval_of_the_setting() -> None:
    pace, _ = a_pace()
    rounds = [pace.interval(urgent=False, watchful=False) for _ in range(200)]
    assert all(4.0 <= seconds <= 6.0 for seconds in rounds)
    assert max(rounds) - min(rounds) > 1.0


def test_watchful_rounds_come_every_second_or_oftener() -> None:
    assert a_pace()[0].interval(urgent=False, watchful=True) == near(WATCHFUL)
    assert a_pace(0.3)[0].interval(urgent=False, watchful=True) == near(0.3)


def test_urgent_rounds_back_off_to_a_cap_and_begin_anew() -> None:
    pace, _ = a_pace()
    rounds = [pace.interval(urgent=True, watchful=False) for _ in range(40)]
    assert rounds[0] == near(FIRST)
    assert rounds[1] == near(2 * FIRST)
    assert all(seconds == near(CAP) for seconds in rounds[3:])
    pace.interval(urgent=False, watchful=False)
    assert pace.interval(urgent=True, watchful=False) == near(FIRST)


def test_doubt_makes_rounds_frequent_and_passes_by_itself() -> None:
    pace, time = a_pace()
    assert pace.doubt()
    assert pace.doubtful
    assert pace.interval(urgent=False, watchful=False) == near(FIRST)
    time.now += DOUBT_LASTS - 0.1
    assert not pace.doubt()
    time.now += DOUBT_LASTS - 0.1
    assert pace.doubtful
    time.now += 0.2
    assert not pace.doubtful
    assert pace.interval(urgent=False, watchful=False) == near(5.0)
    assert pace.doubt()


def test_trust_ends_doubt() -> None:
    pace, _ = a_pace()
    pace.doubt()
    pace.trust()
    assert not pace.doubtful
    assert pace.doubt()


def test_fresh_doubt_is_followed_up_quickly_again() -> None:
    pace, _ = a_pace()
    pace.doubt()
    for _ in range(10):
        pace.interval(urgent=False, watchful=False)
    pace.doubt()
    assert pace.interval(urgent=False, watchful=False) == near(CAP)
    pace.trust()
    pace.doubt()
    assert pace.interval(urgent=False, watchful=False) == near(FIRST)
