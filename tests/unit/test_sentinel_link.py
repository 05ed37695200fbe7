from __future__ import annotations

import asyncio

import pytest

from tests.unit.clock import settle, virtual
from tests.unit.rosters import MASTER, S1, S2, running, three
from tests.unit.sentinels import FakeSentinel, FakeSentinels


@virtual
async def test_a_lost_sentinel_is_told_and_dialled_again_with_pauses() -> None:
    group = three()
    async with running(group, S1) as case:
        group.at[S1].die()
        await settle()
        assert case.states == [(S1, True), (S1, False)]
        assert not case.roster.listening
        await asyncio.sleep(20)
        assert 20 <= group.at[S1].dialled <= 60
        assert "nobody listens" in (case.link(S1).error or "")
        group.at[S1].down = False
        await asyncio.sleep(1.1)
        assert case.states[-1] == (S1, True)


@virtual
async def test_a_sentinel_that_falls_silent_is_given_up_and_dialled_again() -> None:
    group = three()
    async with running(group, S1) as case:
        group.at[S1].hung = True
        await asyncio.sleep(3)
        assert case.states[-1] == (S1, False)
        group.at[S1].hung = False
        await asyncio.sleep(3)
        assert case.states[-1] == (S1, True)


@virtual
async def test_a_server_that_is_no_sentinel_is_told_so() -> None:
    group = three()
    group.at[S1].role = "master"
    async with running(group, S1) as case:
        with pytest.raises(ConnectionError, match="role master, not a sentinel"):
            await case.link(S1).ask()


@virtual
async def test_a_sentinel_of_another_group_is_told_so() -> None:
    group = three()
    group.at[S1].name = "other"
    async with running(group, S1, S2) as case:
        await case.ask()
        assert case.views.keys() == {S2}
        assert case.link(S1).misnamed
        assert "'m'" in (case.link(S1).error or "")
        group.at[S1].name = "m"
        await case.ask()
        assert not case.link(S1).misnamed
        assert case.link(S1).error is None


@virtual
async def test_a_sentinel_that_forbids_listening_is_asked_all_the_same() -> None:
    group = three()
    group.at[S1].deaf = True
    async with running(group, S1) as case:
        assert (case.link(S1).connected, case.roster.listening) == (True, False)
        assert case.link(S1).refused == {"PSUBSCRIBE"}
        await case.ask()
        assert case.views.keys() == {S1}


@virtual
async def test_hurry_ends_a_pause_between_two_attempts() -> None:
    group = FakeSentinels(FakeSentinel(S1, MASTER, down=True))
    async with running(group, S1) as case:
        await asyncio.sleep(10)
        before = group.at[S1].dialled
        case.link(S1).hurry()
        await settle()
        assert group.at[S1].dialled == before + 1


@virtual
async def test_a_link_that_is_old_is_replaced_and_no_event_goes_unheard() -> None:
    group = three()
    sentinel = group.at[S1]
    sentinel.lives = 10.0
    async with running(group, S1) as case:
        for number in range(1000):
            assert 1 <= len(sentinel.channels) <= 2
            sentinel.say("+event", str(number))
            await case.ask()
            await asyncio.sleep(0.1)
        assert 9 <= sentinel.dialled <= 12
        assert case.states == [(S1, True)]
        assert {int(text) for _, text in case.heard} == set(range(1000))
        assert case.views.keys() == {S1}


@virtual
async def test_an_old_link_goes_on_while_no_new_one_can_be_had() -> None:
    group = three()
    sentinel = group.at[S1]
    sentinel.lives = 10.0
    async with running(group, S1) as case:
        await asyncio.sleep(5)
        sentinel.down = True
        await asyncio.sleep(20)
        await case.ask()
        assert case.states == [(S1, True)]
        assert sentinel.dialled >= 10
        sentinel.down = False
        await asyncio.sleep(2)
        assert case.states == [(S1, True)]


@virtual
async def test_a_sentinel_that_comes_back_as_a_server_leaves_no_connection() -> None:
    group = three()
    sentinel = group.at[S1]
    sentinel.lives = 10.0
    async with running(group, S1) as case:
        await asyncio.sleep(5)
        sentinel.role = "master"
        await asyncio.sleep(20)
        assert len(sentinel.channels) == 1
        assert case.states == [(S1, True)]
