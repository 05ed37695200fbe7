"""
The loop of the simulation: its clock jumps, and it tells what a simulation must not hide.
"""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.simulation.loop import Deadlock, Livelock, RealIO, SimulatedLoop


def test_time_jumps_to_the_next_timer() -> None:
    loop = SimulatedLoop()
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.elapsed == 3600
    loop.close()


def test_a_deadlock_is_told() -> None:
    loop = SimulatedLoop()
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_a_clock_that_stands_still_is_told() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop = SimulatedLoop()
    task = loop.create_task(spin())
    with pytest.raises(Livelock):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_real_io_is_refused() -> None:
    async def connect() -> None:
        with pytest.raises(RealIO):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(RealIO):
            await asyncio.to_thread(print)

    loop = SimulatedLoop()
    loop.run_until_complete(connect())
    loop.close()


def test_what_nobody_retrieved_is_told() -> None:
    async def fail() -> None:
        raise ValueError("never seen")

    async def forget() -> None:
        loop.create_task(fail())
        await asyncio.sleep(1)

    loop = SimulatedLoop()
    loop.run_until_complete(forget())
    gc.collect()
    assert "never seen" in "".join(loop.complaints)
    loop.close()
