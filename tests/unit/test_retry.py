from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from sahool_cache.connection.faults import DialFailed, Expired, LaneLost, WentQuiet, judge
from sahool_cache.errors import (
    CircuitOpenError,
    DeadlineExceededError,
    OutcomeUnknownError,
    UnavailableError,
    Verdict,
)
from sahool_cache.policy.deadline import Deadline
from sahool_cache.policy.retry import BACKOFF_CAP, Repeat, Retry, RetryBudget
from tests.unit.clock import play, virtual


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    harmless: bool
    repeatable: bool


READ = Command(name="GET", harmless=True, repeatable=True)
AGAIN = Command(name="SET", harmless=False, repeatable=True)
ONCE = Command(name="INCR", harmless=False, repeatable=False)
NOW = asyncio.get_running_loop

Fault = Callable[[], Exception]


def unsent() -> Exception:
    return LaneLost("cut", sent=False)


def lost() -> Exception:
    return LaneLost("cut", sent=True)


def loading() -> Exception:
    return BusyLoadingError("Redis is loading the dataset in memory", status_code="LOADING")


def wrong() -> Exception:
    return ResponseError("WRONGTYPE not a list")


class Caller:
    """
    Makes attempts that fail as told, one after the other, and then succeed.
    """

    def __init__(self, *faults: Fault, budget: int = 1000, takes: float = 0.0) -> None:
        self.faults = list(faults)
        self.takes = takes
        self.attempts: list[float] = []
        self.met: list[Exception] = []
        clock = NOW().time
        self.retry = Retry(budget=RetryBudget(budget, clock), judge=judge, random=Random(1))

    async def attempt(self, _request: Command, _deadline: Deadline) -> str:
        self.attempts.append(NOW().time())
        await asyncio.sleep(self.takes)
        if self.faults:
            fault = self.faults.pop(0)()
            self.met.append(fault)
            raise fault
        return "reply"

    async def call(self, request: Command, mode: Repeat = "safe", timeout: float = 1.0) -> Any:
        return await self.retry.run(request, self.attempt, Deadline(timeout), mode)


# (fault, command) -> may it be sent again under never, safe, always; and else what is raised
TABLE: Sequence[tuple[Fault, Command, tuple[bool, bool, bool], type[Exception]]] = [
    (unsent, READ, (False, True, True), UnavailableError),
    (unsent, AGAIN, (False, True, True), UnavailableError),
    (unsent, ONCE, (False, True, True), UnavailableError),
    (loading, READ, (False, True, True), BusyLoadingError),
    (loading, AGAIN, (False, True, True), BusyLoadingError),
    (loading, ONCE, (False, True, True), BusyLoadingError),
    (lost, READ, (False, True, True), UnavailableError),
    (lost, AGAIN, (False, True, True), OutcomeUnknownError),
    (lost, ONCE, (False, False, True), OutcomeUnknownError),
    (wrong, READ, (False, False, False), ResponseError),
    (wrong, AGAIN, (False, False, False), ResponseError),
    (wrong, ONCE, (False, False, False), ResponseError),
]
MODES: Sequence[Repeat] = ("never", "safe", "always")
ROWS = [
    pytest.param(fault, request, mode, again, error, id=f"{fault.__name__}-{request.name}-{mode}")
    for fault, request, row, error in TABLE
    for mode, again in zip(MODES, row, strict=True)
]


@pytest.mark.parametrize(("fault", "request_", "mode", "again", "error"), ROWS)
@virtual
async def test_what_is_sent_again_and_what_is_raised(
    fault: Fault, request_: Command, mode: Repeat, again: bool, error: type[Exception]
) -> None:
    caller = Caller(fault)
    if again:
        assert await caller.call(request_, mode) == "reply"
        assert (len(caller.attempts), caller.retry.repeats) == (2, 1)
        return
    with pytest.raises(error) as caught:
        await caller.call(request_, mode)
    assert (len(caller.attempts), caller.retry.repeats) == (1, 0)
    assert caught.value is caller.met[0] or caught.value.__cause__ is caller.met[0]
    assert isinstance(caught.value, RedisError)


@virtual
async def test_an_unknown_outcome_names_command_and_node() -> None:
    def lost_at_node() -> Exception:
        fault = lost()
        fault.node = "h:1"  # type: ignore[attr-defined]
        return fault

    with pytest.raises(OutcomeUnknownError, match="INCR was sent") as caught:
        await Caller(lost_at_node).call(ONCE)
    assert (caught.value.command, caught.value.node) == ("INCR", "h:1")


@virtual
async def test_nothing_sent_and_no_time_ended_is_not_called_a_deadline() -> None:
    for mode, budget in (("never", 10), ("safe", 0)):
        caller = Caller(unsent, budget=budget)
        with pytest.raises(UnavailableError) as caught:
            await caller.call(ONCE, mode)  # type: ignore[arg-type]
        assert not isinstance(caught.value, DeadlineExceededError)


@virtual
async def test_a_repeatable_write_in_doubt_stays_in_doubt_until_it_succeeds() -> None:
    for then in (unsent, loading, lambda: CircuitOpenError("open", retry_after=1.0)):
        caller = Caller(lost, *[then] * 500)
        with pytest.raises(OutcomeUnknownError):
            await caller.call(AGAIN, timeout=0.5)
    assert await Caller(lost, unsent, lost, loading).call(AGAIN) == "reply"


@virtual
async def test_a_read_is_never_in_doubt() -> None:
    for fault in (lost, lambda: Expired("late"), lambda: WentQuiet("quiet")):
        caller = Caller(*[fault] * 3, takes=0.4)
        with pytest.raises(DeadlineExceededError):
            await caller.call(READ)
        assert len(caller.attempts) == 3


@virtual
async def test_where_no_attempt_could_be_made_its_reason_is_raised_as_it_is() -> None:
    caller = Caller(lambda: CircuitOpenError("open", retry_after=1.0))
    with pytest.raises(CircuitOpenError) as caught:
        await caller.call(AGAIN)
    assert caught.value is caller.met[0]


@virtual
async def test_after_the_deadline_nothing_is_sent_again() -> None:
    caller = Caller(*[lost] * 10, takes=0.3)
    with pytest.raises(OutcomeUnknownError):
        await caller.call(AGAIN)
    assert len(caller.attempts) == 4
    assert caller.attempts[-1] - caller.attempts[0] <= 1.0


@virtual
async def test_a_pause_ends_with_the_deadline() -> None:
    caller = Caller(*[loading] * 1000)
    started = NOW().time()
    with pytest.raises(BusyLoadingError):
        await caller.call(ONCE, timeout=0.7)
    assert NOW().time() - started == pytest.approx(0.7)


@virtual
async def test_a_server_that_says_come_back_is_asked_with_growing_pauses() -> None:
    caller = Caller(*[loading] * 12)
    assert await caller.call(ONCE, timeout=10.0) == "reply"
    gaps = [b - a for a, b in zip(caller.attempts, caller.attempts[1:], strict=False)]
    assert 0.005 <= gaps[0] <= 0.01
    assert all(BACKOFF_CAP / 2 <= gap <= BACKOFF_CAP for gap in gaps[-3:])


@virtual
async def test_a_lane_that_was_cut_is_replaced_without_a_pause_and_the_next_with_one() -> None:
    for fault in (unsent, lost):
        caller, started = Caller(fault), NOW().time()
        assert await caller.call(AGAIN) == "reply"
        assert NOW().time() == started
        caller, started = Caller(fault, fault), NOW().time()
        assert await caller.call(AGAIN) == "reply"
        assert NOW().time() > started


@virtual
async def test_a_server_that_refuses_connections_is_not_dialled_without_pause() -> None:
    caller = Caller(*[lambda: DialFailed("max number of clients reached")] * 5000, takes=0.0001)
    with pytest.raises(UnavailableError):
        await caller.call(READ)
    assert len(caller.attempts) < 100


@virtual
async def test_the_budget_of_attempts_is_shared_and_refills() -> None:
    caller = Caller(budget=10)
    for _ in range(10):
        caller.faults = [lost]
        assert await caller.call(AGAIN) == "reply"
    caller.faults = [lost]
    with pytest.raises(OutcomeUnknownError):
        await caller.call(AGAIN)
    assert (len(caller.attempts), caller.retry.repeats) == (21, 10)
    await asyncio.sleep(1.0)
    caller.faults = [lost]
    assert await caller.call(AGAIN) == "reply"


@virtual
async def test_the_budget_of_attempts_never_holds_more_than_its_size() -> None:
    budget = RetryBudget(5, NOW().time)
    await asyncio.sleep(3600)
    assert [budget.take() for _ in range(7)] == [True] * 5 + [False] * 2


@virtual
async def test_a_failure_of_an_attempt_made_before_is_judged_like_any() -> None:
    caller = Caller()
    fault = lost()
    with pytest.raises(OutcomeUnknownError) as caught:
        await caller.retry.run(ONCE, caller.attempt, Deadline(1.0), "safe", fault)
    assert (caller.attempts, caught.value.__cause__) == ([], fault)
    reply = await caller.retry.run(READ, caller.attempt, Deadline(1.0), "safe", lost())
    assert (reply, len(caller.attempts)) == ("reply", 1)


@virtual
async def test_cancellation_passes_through() -> None:
    caller = Caller(lost, takes=60.0)
    task = asyncio.create_task(caller.call(AGAIN, timeout=600.0))
    await asyncio.sleep(61.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(caller.attempts) == 2


FAULTS: Sequence[Fault] = (unsent, loading, lost, wrong, lambda: Expired("late"))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(FAULTS), max_size=6),
    st.sampled_from([READ, AGAIN, ONCE]),
    st.sampled_from(MODES),
    st.integers(0, 6),
)
def test_no_command_is_sent_twice_that_must_not_be_and_no_doubt_is_hidden(
    faults: list[Fault], request: Command, mode: Repeat, budget: int
) -> None:
    async def scenario() -> None:
        caller = Caller(*faults, budget=budget)
        outcome: Any
        try:
            outcome = await caller.call(request, mode, timeout=60.0)
        except RedisError as error:
            outcome = error
        verdicts = [judge(fault) for fault in caller.met]
        if mode != "always" and request is ONCE:
            assert Verdict.UNKNOWN not in verdicts[:-1]
            assert outcome != "reply" or Verdict.UNKNOWN not in verdicts
        assert len(caller.attempts) <= 1 + (0 if mode == "never" else budget)
        if outcome == "reply":
            return
        if verdicts[-1] is Verdict.REFUSED:
            assert outcome is caller.met[-1]
        else:
            doubt = Verdict.UNKNOWN in verdicts and not request.harmless
            assert isinstance(outcome, OutcomeUnknownError) == doubt

    play(scenario())
