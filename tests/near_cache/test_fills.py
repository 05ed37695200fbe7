"""
Replies under way: who shares them, and when no more.
"""

from __future__ import annotations

import asyncio

import pytest

from sahool_cache.near_cache.fills import Fill, Fills


def empty(fills: Fills) -> bool:
    return not fills._by_probe and not fills._by_name


def test_one_is_found_until_a_key_of_it_is_dropped() -> None:
    fills = Fills()
    fill = Fill(b"MGET a b", ["a", "b"], 1.0)
    other = Fill("b", ["b"], 1.0)
    fills.add(fill)
    fills.add(other)
    assert fills.get(b"MGET a b") is fill
    assert not fills.drop("c")
    assert fills.drop("a")
    assert fills.get(b"MGET a b") is None
    assert fills.get("b") is other
    assert not fills.forget(fill), "it is not kept when its reply comes"
    assert fills.forget(other)
    assert empty(fills)


def test_one_in_place_of_another_leaves_nothing_of_it() -> None:
    fills = Fills()
    first, second = Fill("k", ["k"], 1.0), Fill("k", ["k"], 2.0)
    fills.add(first)
    fills.add(second)
    assert fills.get("k") is second
    assert not fills.forget(first)
    assert fills.get("k") is second
    assert fills.forget(second)
    assert empty(fills)


def test_all_are_forgotten_at_once() -> None:
    fills = Fills()
    fill = Fill("k", ["k"], 1.0)
    fills.add(fill)
    fills.clear()
    assert not fills.forget(fill)
    assert empty(fills)


@pytest.mark.asyncio
async def test_each_who_waits_gets_the_reply_and_nobody_ends_the_wait_of_another() -> None:
    fill = Fill("k", ["k"], 1.0)
    waiting = [fill.join() for _ in range(3)]
    waiting[0].cancel()
    waiting[1].set_exception(TimeoutError())
    fill.end("v")
    replies = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(reply) for reply in replies] == [asyncio.CancelledError, TimeoutError, str]
