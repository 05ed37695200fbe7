from __future__ import annotations

import asyncio

import pytest

from sahool_cache.policy.deadline import Deadline
from tests.unit.clock import settle, virtual


class Late(Exception):
    pass


@virtual
async def test_what_is_left_shrinks_to_zero_and_not_below() -> None:
    deadline = Deadline(2.0)
    assert (deadline.left, deadline.passed) == (2.0, False)
    await asyncio.sleep(1.5)
    assert deadline.left == pytest.approx(0.5)
    await asyncio.sleep(1.0)
    assert (deadline.left, deadline.passed) == (0.0, True)


@virtual
async def test_a_budget_may_have_begun_before() -> None:
    since = asyncio.get_running_loop().time() - 1.5
    assert Deadline(2.0, since=since).left == pytest.approx(0.5)


@virtual
async def test_a_reply_in_time_is_returned_and_leaves_no_timer() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(0.5, future.set_result, "reply")
    assert await Deadline(1.0).wait(future, Late) == "reply"
    await asyncio.sleep(5)


@virtual
async def test_the_callers_error_is_raised_when_the_budget_ends_first() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    started = loop.time()
    with pytest.raises(Late):
        await Deadline(1.0).wait(future, Late)
    assert loop.time() - started == pytest.approx(1.0)
    assert future.done()


@virtual
async def test_a_reply_that_is_there_already_is_returned_even_when_it_is_late() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("reply")
    assert await Deadline(0.0).wait(future, Late) == "reply"


@virtual
async def test_a_budget_that_has_ended_waits_no_moment() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with pytest.raises(Late):
        await Deadline(0.0).wait(future, Late)


@virtual
async def test_without_an_end_there_is_no_timer() -> None:
    deadline = Deadline(float("inf"))
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(deadline.wait(future, Late))
    await asyncio.sleep(1_000_000)
    future.set_result("reply")
    assert (await waiting, deadline.passed) == ("reply", False)


@virtual
async def test_a_failed_future_raises_its_own_error() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(Deadline(1.0).wait(future, Late))
    await settle()
    future.set_exception(ValueError("own"))
    with pytest.raises(ValueError, match="own"):
        await waiting


@virtual
async def test_a_cancelled_caller_cancels_its_future_and_the_timer_does_not_mind() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(Deadline(1.0).wait(future, Late))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert future.cancelled()
    await asyncio.sleep(2)
