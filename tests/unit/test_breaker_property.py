"""
The breaker against a model of a few lines: whatever calls and connections do, the two agree.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sahool_cache.errors import CircuitOpenError
from sahool_cache.policy.breaker import NodeBreaker

OPEN_FOR = 2.0
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("fail", "fail", "fail", "stand", "group", "dial", "pass", *("wait",) * 5),
                *(*("call",) * 6, "end", "end", "end late", "end late", "end of no probe"),
            )
        ),
        st.integers(0, 7),
    ),
    min_size=15,
    max_size=60,
)


class Story:
    """
    A breaker and its model. `probes` holds the numbers of the calls that were admitted as probes
    and have not ended, `late` those whose half-open period has passed.
    """

    def __init__(self, limit: int, places: int, met: Counter[str]) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.limit, self.places, self.met = limit, places, met
        self.state, self.failures, self.until = "closed", 0, 0.0
        self.probes: list[int] = []
        self.late: list[int] = []
        self.breaker = NodeBreaker(
            "h:1",
            failures=limit,
            open_for=OPEN_FOR,
            probes=places,
            now=lambda: self.now,
            on_change=self.told.append,
        )

    def moves(self, state: str) -> None:
        """
        The model is in that state now.
        """
        if state != self.state:
            self.state = state
            self.late += self.probes
            self.probes = []
            assert self.told.pop(0) == state
            self.met[state] += 1

    def step(self, act: str, number: int) -> None:
        match act:
            case "fail":
                self.fail()
            case "stand" | "group":
                (self.breaker.succeeded if act == "stand" else self.breaker.reset)()
                self.failures = 0
                self.moves("closed")
            case "dial":
                self.dial()
            case "pass":
                self.now += number / 4
            case "wait":
                self.now += OPEN_FOR
                self.dial()
            case "call":
                self.call()
            case "end" if self.probes:
                self.breaker.release(self.probes.pop(number % len(self.probes)))
                self.met["probe ended"] += 1
            case "end late" if self.late:
                self.breaker.release(self.late[number % len(self.late)])
                self.met["late probe ended"] += 1
            case "end of no probe":
                self.breaker.release(0)

    def fail(self) -> None:
        self.breaker.failed()
        if self.state != "open":
            self.failures += 1
            if self.state == "half_open" or self.failures >= self.limit:
                self.until = self.now + OPEN_FOR
                self.moves("open")

    def dial(self) -> None:
        hold = self.breaker.may_dial()
        if self.state == "open" and self.now >= self.until:
            self.moves("half_open")
        assert hold == (self.until - self.now if self.state == "open" else 0.0)

    def call(self) -> None:
        half_open = self.state == "half_open"
        if self.state == "closed" or (half_open and len(self.probes) < self.places):
            number = self.breaker.admit()
            assert bool(number) == half_open
            assert number not in self.late
            self.probes += [number] if half_open else []
            return
        with pytest.raises(CircuitOpenError) as refused:
            self.breaker.admit()
        assert 0 < refused.value.retry_after <= OPEN_FOR
        self.met[f"refused while {self.state}"] += 1

    def check(self) -> None:
        assert self.breaker.state == self.state
        assert self.told == []
        assert self.breaker.quick == (self.state == "closed" and self.failures == 0)
        left = max(self.until - self.now, 0.0) if self.state == "open" else 0.0
        assert self.breaker.retry_after == left


def test_the_breaker_does_what_the_model_does() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(STEPS, st.integers(1, 3), st.integers(1, 3))
    def agree(steps: list[tuple[str, int]], limit: int, places: int) -> None:
        story = Story(limit, places, met)
        for act, number in steps:
            story.step(act, number)
            story.check()

    agree()
    kinds = {"open", "half_open", "closed", "probe ended", "late probe ended"}
    kinds |= {"refused while open", "refused while half_open"}
    assert all(met[kind] > 50 for kind in kinds), met
