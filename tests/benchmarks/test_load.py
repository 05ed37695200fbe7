from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.benchmarks.load import Load
from tests.benchmarks.model import Cell, Target
from tests.benchmarks.works import WORKS, Data, Work

NOWHERE = Target(sentinels=(), master_name="none", master=("127.0.0.1", 1))


class Recording:
    """
    A client whose replies come in another order than its calls.
    """

    def __init__(self) -> None:
        self.begun = self.over = 0
        self.overlapping: set[int] = set()

    async def get(self, key: str) -> Any:
        self.begun += 1
        self.overlapping.add(self.begun - self.over)
        for _ in range(self.begun % 5):
            await asyncio.sleep(0)
        self.over += 1
        return key

    set = mget = get


async def work(client: Any, cell: Cell, what: Work = WORKS["get"]) -> int:
    return (await Load(client, cell, what).measure(NOWHERE)).commands


@pytest.mark.asyncio
async def test_every_task_calls_at_least_once() -> None:
    client = Recording()
    cell = Cell(work="get", client="fake", tasks=500, seconds=0.0)
    assert await work(client, cell) == client.over == 500


@pytest.mark.asyncio
@pytest.mark.parametrize("commands", [1, 7, 100, 103])
async def test_a_number_of_commands_is_shared_out(commands: int) -> None:
    client = Recording()
    cell = Cell(work="get", client="fake", tasks=10, commands=commands)
    assert await work(client, cell) == client.over == commands


@pytest.mark.asyncio
async def test_tasks_in_step_begin_when_all_are_there() -> None:
    """
    With 10 tasks, call 11 begins after 10 replies, and call 21 after 20.
    """
    client, met = Recording(), set[tuple[int, int]]()

    async def get(key: str) -> Any:
        met.add((client.begun // 10, client.over // 10))
        return await Recording.get(client, key)

    client.get = get  # type: ignore[method-assign]
    cell = Cell(work="get", client="fake", tasks=10, commands=30, profiled=True)
    assert await work(client, cell) == 30
    assert met == {(0, 0), (1, 1), (2, 2)}


@pytest.mark.asyncio
async def test_what_goes_on_beside_ends_with_the_work() -> None:
    client, others = Recording(), Recording()

    def beside(_: Any, data: Data) -> Any:
        return lambda: others.get(data.names[0])

    what = Work(name="x", about="", start=WORKS["get"].start, beside=beside, beside_tasks=2)
    cell = Cell(work="get", client="fake", tasks=2, seconds=0.01)
    assert await work(client, cell, what) == client.over
    assert others.over == others.begun > 2
    before = others.begun
    await asyncio.sleep(0.01)
    assert others.begun == before
