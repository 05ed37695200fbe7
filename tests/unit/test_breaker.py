from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any

import aiobreaker.state
import pytest

from sahool_cache.errors import CircuitOpenError
from sahool_cache.policy.breaker import BreakerState, NodeBreaker


class Time:
    """
    A clock that is set by hand.
    """

    now = 50.0

    def __call__(self) -> float:
        return self.now


class Case:
    """
    A breaker that opens at the third failure, for two seconds.
    """

    def __init__(self, *, failures: int = 3, probes: int = 1) -> None:
        self.time = Time()
        self.changes: list[BreakerState] = []
        self.breaker = NodeBreaker(
            "h:1",
            failures=failures,
            open_for=2.0,
            probes=probes,
            now=self.time,
            on_change=self.changes.append,
        )

    def opened(self) -> NodeBreaker:
        for _ in range(3):
            self.breaker.failed()
        assert self.breaker.state == "open"
        return self.breaker

    def half_opened(self) -> NodeBreaker:
        breaker = self.opened()
        self.time.now += 2.0
        assert breaker.may_dial() == 0.0
        assert breaker.state == "half_open"
        return breaker


def test_closed_lets_everybody_pass() -> None:
    case = Case()
    assert (case.breaker.state, case.breaker.quick) == ("closed", True)
    assert [case.breaker.admit() for _ in range(200)] == [0] * 200
    assert (case.breaker.may_dial(), case.breaker.retry_after) == (0.0, 0.0)


def test_only_failures_in_a_row_open_it() -> None:
    case = Case()
    for _ in range(5):
        case.breaker.failed()
        case.breaker.failed()
        assert not case.breaker.quick
        case.breaker.succeeded()
        assert case.breaker.quick
    assert (case.breaker.state, case.changes) == ("closed", [])
    case.opened()
    assert case.changes == ["open"]


def test_one_failure_may_be_enough() -> None:
    case = Case(failures=1)
    case.breaker.failed()
    assert case.breaker.state == "open"


def test_open_lets_nobody_pass_and_says_for_how_long() -> None:
    case = Case()
    breaker = case.opened()
    case.time.now += 0.5
    assert (breaker.retry_after, breaker.may_dial()) == (1.5, 1.5)
    with pytest.raises(CircuitOpenError, match="h:1") as caught:
        breaker.admit()
    assert (caught.value.retry_after, caught.value.node) == (1.5, "h:1")
    assert breaker.state == "open"


def test_retry_after_is_never_zero_in_an_error() -> None:
    case = Case()
    breaker = case.opened()
    case.time.now += 10
    assert breaker.retry_after == 0.0
    with pytest.raises(CircuitOpenError) as caught:
        breaker.admit()
    assert 0 < caught.value.retry_after <= 2.0


@pytest.mark.parametrize("probes", [1, 3])
def test_half_open_admits_so_many_probes_out_of_two_hundred(probes: int) -> None:
    case = Case(probes=probes)
    breaker = case.half_opened()
    admitted, refused = 0, 0
    for _ in range(200):
        try:
            admitted += breaker.admit() > 0
        except CircuitOpenError as error:
            refused += error.retry_after > 0
    assert (admitted, refused) == (probes, 200 - probes)


def test_a_probe_that_goes_makes_place_for_another() -> None:
    breaker = Case().half_opened()
    probe = breaker.admit()
    assert probe > 0
    breaker.release(probe)
    assert breaker.admit()
    with pytest.raises(CircuitOpenError):
        breaker.admit()


def test_success_of_the_probe_closes_it() -> None:
    case = Case()
    breaker = case.half_opened()
    breaker.succeeded()
    assert (breaker.state, breaker.quick) == ("closed", True)
    assert case.changes == ["open", "half_open", "closed"]
    breaker.failed()
    assert breaker.state == "closed"  # the old failures are forgotten


def test_failure_of_the_probe_opens_it_for_another_period() -> None:
    case = Case()
    breaker = case.half_opened()
    breaker.failed()
    assert (breaker.state, breaker.retry_after) == ("open", 2.0)
    assert case.changes == ["open", "half_open", "open"]
    case.time.now += 2.0
    assert breaker.may_dial() == 0.0
    assert breaker.admit()


def test_late_failures_do_not_prolong_an_open_period() -> None:
    case = Case()
    breaker = case.opened()
    case.time.now += 1.9
    for _ in range(10):
        breaker.failed()
    assert breaker.retry_after == pytest.approx(0.1)
    assert case.changes == ["open"]


def test_a_connection_that_stands_closes_it_whatever_the_clock_says() -> None:
    case = Case()
    breaker = case.opened()
    breaker.succeeded()
    assert (breaker.state, breaker.quick, breaker.retry_after) == ("closed", True, 0.0)


def test_a_late_release_frees_no_place_of_the_next_period() -> None:
    case = Case()
    breaker = case.half_opened()
    late = breaker.admit()
    breaker.failed()
    case.time.now += 2.0
    breaker.may_dial()
    assert breaker.admit() not in (0, late)
    breaker.release(late)
    with pytest.raises(CircuitOpenError):
        breaker.admit()


def test_more_releases_than_probes_give_no_extra_places() -> None:
    breaker = Case(probes=2).half_opened()
    probe = breaker.admit()
    for _ in range(5):
        breaker.release(probe)
        breaker.release(0)
    assert [breaker.admit(), breaker.admit()] == [probe, probe]
    with pytest.raises(CircuitOpenError):
        breaker.admit()


@pytest.mark.parametrize("start", ["closed", "failing", "open", "half_open"])
def test_a_reset_closes_it_from_any_state(start: str) -> None:
    case = Case()
    if start == "failing":
        case.breaker.failed()
        case.breaker.failed()
    elif start == "open":
        case.opened()
    elif start == "half_open":
        case.half_opened()
    case.breaker.reset()
    assert (case.breaker.state, case.breaker.quick) == ("closed", True)
    case.changes.clear()
    case.breaker.failed()
    case.breaker.failed()
    assert case.changes == []
    case.breaker.failed()
    assert case.changes == ["open"]


def test_each_change_is_told_once() -> None:
    case = Case()
    case.breaker.reset()
    case.breaker.succeeded()
    case.half_opened()
    case.breaker.may_dial()
    case.breaker.reset()
    case.breaker.reset()
    assert case.changes == ["open", "half_open", "closed"]


@pytest.mark.parametrize("wrong", [datetime(1, 1, 2), datetime(9999, 12, 30)])  # noqa: DTZ001
def test_the_time_of_day_does_not_matter(monkeypatch: pytest.MonkeyPatch, wrong: datetime) -> None:
    class WrongClock(datetime):
        @classmethod
        def utcnow(cls) -> Any:
            raise DeprecationWarning("utcnow")

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return wrong

    for module in (aiobreaker.state, sys.modules["aiobreaker.circuitbreaker"]):
        if hasattr(module, "datetime"):
            monkeypatch.setattr(module, "datetime", WrongClock)
    case = Case()
    case.half_opened().failed()
    case.time.now += 2.0
    case.breaker.may_dial()
    case.breaker.succeeded()
    assert case.changes == ["open", "half_open", "open", "half_open", "closed"]


def test_it_opens_where_deprecation_warnings_are_errors() -> None:
    program = """
from sahool_cache.policy.breaker import NodeBreaker
states = []
breaker = NodeBreaker(
    "h:1", failures=2, open_for=0.0, probes=1, now=lambda: 0.0, on_change=states.append
)
breaker.failed(); breaker.failed(); breaker.may_dial(); breaker.succeeded()
assert states == ["open", "half_open", "closed"], states
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
