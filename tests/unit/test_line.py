from __future__ import annotations

import asyncio

import pytest

from sahool_cache.errors import OverloadedError
from sahool_cache.policy.deadline import Deadline
from sahool_cache.policy.line import WaitingLine
from tests.unit.clock import settle, virtual


@virtual
async def test_everybody_looks_again_in_the_order_of_arrival() -> None:
    line, order = WaitingLine(10), list[int]()

    async def wait(number: int) -> None:
        await line.wait(Deadline(9.0))
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(5)]
    await settle()
    assert len(line) == 5
    line.wake()
    assert len(line) == 0
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


@virtual
async def test_one_more_than_the_limit_is_refused_at_once() -> None:
    line = WaitingLine(2)
    waiting = [asyncio.create_task(line.wait(Deadline(9.0))) for _ in range(2)]
    await settle()
    with pytest.raises(OverloadedError, match="2 calls"):
        await line.wait(Deadline(9.0))
    waiting[0].cancel()
    await settle()
    waiting.append(asyncio.create_task(line.wait(Deadline(9.0))))
    await settle()
    assert len(line) == 2
    line.wake()
    await asyncio.gather(*waiting[1:])


@pytest.mark.parametrize(("budget", "at_most", "expected"), [(2.0, None, 2.0), (9.0, 1.0, 1.0),
                                                            (0.5, 1.0, 0.5), (0.0, None, 0.0),
                                                            (float("inf"), 3.0, 3.0)])  # fmt: skip
@virtual
async def test_a_wait_ends_with_the_budget_or_the_given_time(
    budget: float, at_most: float | None, expected: float
) -> None:
    line, loop = WaitingLine(10), asyncio.get_running_loop()
    started = loop.time()
    await line.wait(Deadline(budget), at_most=at_most)
    assert loop.time() - started == pytest.approx(expected)
    assert len(line) == 0


@virtual
async def test_a_wait_without_end_ends_when_something_changes() -> None:
    line = WaitingLine(10)
    waiting = asyncio.create_task(line.wait(Deadline(float("inf"))))
    await asyncio.sleep(100_000)
    assert not waiting.done()
    line.wake()
    await waiting


@virtual
async def test_a_cancelled_caller_leaves_the_line() -> None:
    line = WaitingLine(10)
    tasks = [asyncio.create_task(line.wait(Deadline(9.0))) for _ in range(3)]
    await settle()
    tasks[1].cancel()
    await settle()
    assert len(line) == 2
    line.wake()
    await asyncio.gather(tasks[0], tasks[2])


@virtual
async def test_a_caller_cancelled_in_the_moment_of_waking_harms_nobody() -> None:
    line = WaitingLine(10)
    tasks = [asyncio.create_task(line.wait(Deadline(9.0))) for _ in range(2)]
    await settle()
    line.wake()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (tasks[0].cancelled(), tasks[1].exception(), len(line)) == (True, None, 0)


@virtual
async def test_waking_an_empty_line_is_nothing() -> None:
    line = WaitingLine(1)
    line.wake()
    waiting = asyncio.create_task(line.wait(Deadline(9.0)))
    await settle()
    assert not waiting.done()
    line.wake()
    await waiting
