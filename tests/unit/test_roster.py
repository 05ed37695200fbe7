from __future__ import annotations

import asyncio

from sahool_cache.address import Address
from tests.unit.clock import settle, virtual
from tests.unit.rosters import MASTER, S1, S2, S3, TIMEOUT, running, three
from tests.unit.sentinels import FakeSentinel, FakeSentinels


@virtual
async def test_every_configured_sentinel_is_connected_and_listened_to() -> None:
    group = three()
    async with running(group, S1, S2, S3) as case:
        assert case.roster.listening
        assert sorted(case.states) == [(S1, True), (S2, True), (S3, True)]
        group.at[S2].say("+odown", "x")
        assert case.heard == [("+odown", "x")]


@virtual
async def test_all_are_asked_at_once_and_each_answer_is_told_with_those_before() -> None:
    group = three()
    group.at[S1].slow, group.at[S2].slow = 0.2, 0.1
    async with running(group, S1, S2, S3) as case:
        await asyncio.sleep(0.5)
        start = asyncio.get_running_loop().time()
        await case.ask()
        told = [(round(at - start, 3), set(views)) for at, views in case.answers]
        assert told == [(0.0, {S3}), (0.1, {S2, S3}), (0.2, {S1, S2, S3})]
        assert case.views[S1].master == MASTER


@virtual
async def test_a_hung_sentinel_delays_nobody() -> None:
    group, loop = three(), asyncio.get_running_loop()
    group.at[S1].hung = True
    async with running(group, S1, S2, S3) as case:
        await asyncio.sleep(0.1)
        start = loop.time()
        await case.ask()
        assert [views for at, views in case.answers if at == start][-1] == {S2, S3}
        assert case.views.keys() == {S2, S3}
        assert loop.time() - start <= TIMEOUT + 0.01
        assert "no answer within 0.3 s" in (case.link(S1).error or "")
        stop = asyncio.Event()
        stop.set()
        start = loop.time()
        await case.ask(stop)
        assert loop.time() == start


@virtual
async def test_a_hint_ends_a_round_after_the_first_answer() -> None:
    group, stop = three(), asyncio.Event()
    for sentinel, slow in zip(group.at.values(), (0.05, 0.2, 0.25), strict=True):
        sentinel.slow = slow
    async with running(group, S1, S2, S3) as case:
        await asyncio.sleep(0.5)
        stop.set()
        await case.ask(stop)
        assert [views for _, views in case.answers] == [{S1}]
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.22, stop.set)
        await case.ask(stop)
        assert [views for _, views in case.answers[1:]] == [{S1}, {S1, S2}]


@virtual
async def test_a_hint_while_nobody_answers_ends_the_round_without_an_answer() -> None:
    group, stop = FakeSentinels(), asyncio.Event()
    stop.set()
    async with running(group, S1, S2) as case:
        await case.ask(stop)
        assert case.answers == []
        await case.ask()
        assert case.answers == []


@virtual
async def test_a_round_leaves_no_task_behind() -> None:
    group, stop = three(), asyncio.Event()
    group.at[S1].hung = True
    async with running(group, S1, S2, S3) as case:
        stop.set()
        before = asyncio.all_tasks()
        await case.ask(stop)
        round_ = asyncio.create_task(case.ask())
        await settle()
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
        assert asyncio.all_tasks() == before


@virtual
async def test_other_sentinels_are_learned_and_connected() -> None:
    group = three()
    async with running(group, S1) as case:
        await case.ask()
        case.roster.learn(case.views)
        await settle()
        assert case.roster.links.keys() == {S1, S2, S3}
        assert case.roster.listening
        await case.ask()
        assert case.views.keys() == {S1, S2, S3}


@virtual
async def test_one_sentinel_under_two_names_is_not_learned_twice() -> None:
    group = three()
    named = FakeSentinel(Address("localhost", 26379), MASTER, run_id=group.at[S1].run_id)
    group.at[named.address] = named
    named.peers = tuple(group.at[address] for address in (S1, S2, S3))
    async with running(group, named.address) as case:
        for _ in range(3):
            await case.ask()
            case.roster.learn(case.views)
            await settle()
        assert case.roster.links.keys() == {named.address, S2, S3}


@virtual
async def test_a_learned_twin_goes_when_the_configured_name_answers_at_last() -> None:
    group = three()
    named = FakeSentinel(Address("localhost", 26379), MASTER, run_id=group.at[S1].run_id)
    group.at[named.address] = named
    named.down = True
    async with running(group, named.address, S2) as case:
        await case.ask()
        case.roster.learn(case.views)
        await settle()
        assert case.roster.links.keys() == {named.address, S2, S1, S3}
        named.down = False
        named.peers = group.at[S2].peers
        await asyncio.sleep(2)
        await case.ask()
        case.roster.learn(case.views)
        await settle()
        assert case.roster.links.keys() == {named.address, S2, S3}
        assert group.at[S1].channels == []


@virtual
async def test_a_learned_sentinel_that_nobody_knows_any_more_is_dropped() -> None:
    group = three()
    async with running(group, S1, S2) as case:
        await case.ask()
        case.roster.learn(case.views)
        await settle()
        assert S3 in case.roster.links
        group.at[S3].die()
        await case.ask()
        case.roster.learn(case.views)
        assert S3 in case.roster.links  # the others still know it
        for sentinel in group.at.values():
            sentinel.peers = (group.at[S1], group.at[S2])
        await case.ask()
        case.roster.learn(case.views)
        assert case.roster.links.keys() == {S1, S2}
        dialled = group.at[S3].dialled
        await asyncio.sleep(30)
        assert group.at[S3].dialled == dialled


@virtual
async def test_a_configured_sentinel_stays_whatever_others_know() -> None:
    group = three()
    group.at[S2].die()
    group.at[S1].peers = ()
    async with running(group, S1, S2) as case:
        await case.ask()
        case.roster.learn(case.views)
        assert case.roster.links.keys() == {S1, S2}


@virtual
async def test_while_nobody_answers_nobody_is_dropped() -> None:
    group = three()
    async with running(group, S1) as case:
        await case.ask()
        case.roster.learn(case.views)
        await settle()
        for sentinel in group.at.values():
            sentinel.die()
        case.views = {}
        await case.ask()
        case.roster.learn(case.views)
        assert case.roster.links.keys() == {S1, S2, S3}
