"""
Tasks that are started from callbacks.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache.background import Background


@pytest.mark.asyncio
async def test_a_task_may_be_started_outside_of_any_task() -> None:
    pytest.importorskip("sniffio", reason="without it, anyio can always tell")
    done: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def run(number: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.set_result((number, task.get_name()))
        await asyncio.sleep(60)

    async def owner() -> None:
        async with Background() as tasks:
            asyncio.get_running_loop().call_soon(lambda: tasks.start(run, 7, name="seven"))

    owning = asyncio.create_task(owner())
    assert await done == (7, "seven")
    assert "seven" in {task.get_name() for task in asyncio.all_tasks()}
    owning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owning
    assert "seven" not in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.asyncio
async def test_a_task_that_fails_ends_the_others() -> None:
    async def fail() -> None:
        raise ValueError("failed")

    async def owner() -> None:
        async with Background() as tasks:
            tasks.start(asyncio.sleep, 60, name="sleeps")
            tasks.start(fail, name="fails")

    with pytest.raises(ExceptionGroup) as caught:
        await owner()
    assert caught.group_contains(ValueError, match="failed")
