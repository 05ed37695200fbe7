from __future__ import annotations

import asyncio

from sahool_cache.routing.fence import LIMIT, Fence
from tests.unit.clock import virtual

Told = list[tuple[object, ...]]


def a_fence() -> tuple[Fence, Told]:
    told: Told = []
    return Fence(
        lambda why, crash: told.append((why, crash)), lambda why: told.append((why,))
    ), told


@virtual
async def test_a_fence_is_told_when_it_goes_up_and_when_it_falls() -> None:
    fence, told = a_fence()
    fence.put_up("+selected-slave", crash=False)
    assert fence.up
    fence.lift("new master")
    assert not fence.up
    assert told == [("+selected-slave", False), ("new master",)]


@virtual
async def test_a_crash_is_told_as_such() -> None:
    fence, told = a_fence()
    fence.put_up("+odown", crash=True)
    fence.lift("-odown")
    assert told[0] == ("+odown", True)


@virtual
async def test_a_fence_that_stands_is_prolonged_and_not_told_again() -> None:
    fence, told = a_fence()
    fence.put_up("one", crash=False)
    await asyncio.sleep(LIMIT - 0.1)
    fence.put_up("two", crash=False)
    await asyncio.sleep(LIMIT - 0.1)
    assert (fence.up, told) == (True, [("one", False)])
    await asyncio.sleep(0.2)
    assert not fence.up
    assert len(told) == 2


@virtual
async def test_a_fence_falls_by_itself_when_the_failover_does_not_come() -> None:
    fence, told = a_fence()
    fence.put_up("one", crash=False)
    await asyncio.sleep(LIMIT + 0.01)
    assert (fence.up, told[1:]) == (False, [("it took too long",)])


@virtual
async def test_lifting_what_is_not_up_is_nothing() -> None:
    fence, told = a_fence()
    fence.lift("x")
    fence.put_up("one", crash=False)
    fence.lift("x")
    fence.lift("y")
    assert told == [("one", False), ("x",)]


@virtual
async def test_a_lifted_fence_has_no_timer_left() -> None:
    fence, told = a_fence()
    fence.put_up("one", crash=False)
    await asyncio.sleep(1)
    fence.lift("x")
    fence.put_up("two", crash=False)
    await asyncio.sleep(LIMIT - 0.1)
    assert fence.up
    fence.cancel()
    await asyncio.sleep(LIMIT)
    assert fence.up
    assert len(told) == 3


@virtual
async def test_only_a_fence_that_was_up_by_a_moment_is_lifted_by_what_was_known_then() -> None:
    fence, told = a_fence()
    loop = asyncio.get_running_loop()
    fence.lift_if_older(loop.time(), "not up at all")
    before = loop.time()
    await asyncio.sleep(0.1)
    fence.put_up("one", crash=False)
    fence.lift_if_older(before, "too old a view")
    assert fence.up
    await asyncio.sleep(0.1)
    fence.put_up("two", crash=False)  # prolonged, and as old as before
    fence.lift_if_older(loop.time() - 0.05, "a view since then")
    assert told == [("one", False), ("a view since then",)]
