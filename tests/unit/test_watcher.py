from __future__ import annotations

import asyncio

from sahool_cache.address import Address
from sahool_cache.routing.topology import Topology
from sahool_cache.routing.watcher import SOON
from tests.unit.clock import virtual
from tests.unit.watchers import NEW, OLD, S1, S2, S3, SENTINELS, THIRD, Case, watching


@virtual
async def test_the_group_is_found_and_verified() -> None:
    case = Case()
    async with watching(case) as watcher:
        assert watcher.topology == Topology(
            master=OLD, replicas=(NEW, THIRD), sentinels=SENTINELS, epoch=1
        )
        assert case.verified[0] == OLD
        assert (watcher.down_after, watcher.quorum, watcher.named) == (1.0, 2, OLD)
        assert (watcher.fenced, watcher.failover_in_sight) == (False, False)
        assert set(watcher.causes) == {"s1:26379", "s2:26379", "s3:26379"}
        published = len(case.published)
        await asyncio.sleep(60)
        assert len(case.published) == published
        assert case.rounds < 30


@virtual
async def test_a_master_that_does_not_say_so_itself_is_not_published() -> None:
    for role in ("replica", None):
        case = Case()
        case.roles[OLD] = role
        async with watching(case) as watcher:
            await asyncio.sleep(3)
            assert (watcher.topology.master, case.published) == (None, [])
            assert watcher.named == OLD
            case.roles[OLD] = "master"
            await asyncio.sleep(1)
            assert watcher.topology.master == OLD


@virtual
async def test_a_switch_is_followed_when_the_first_sentinel_tells() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.promote(NEW)
        case.name(NEW, epoch=2, by=(S2,))
        case.say("+switch-master", "m h 6379 h 6380", by=(S2,))
        await asyncio.sleep(0.05)
        assert (watcher.topology.master, watcher.topology.epoch) == (NEW, 2)
        assert not watcher.topology.provisional
        # Two of three name the old one for another moment.
        await asyncio.sleep(5)
        assert watcher.topology.master == NEW
        case.name(NEW, epoch=2)
        await asyncio.sleep(5)
        assert (case.masters, watcher.topology.replicas) == ([OLD, NEW], (OLD, THIRD))


@virtual
async def test_a_missed_event_is_made_good_by_polling() -> None:
    case = Case()
    async with watching(case, poll_interval=5.0) as watcher:
        case.promote(NEW)
        case.name(NEW, epoch=2)
        await asyncio.sleep(7)
        assert watcher.topology.master == NEW


@virtual
async def test_the_highest_epoch_wins_and_nothing_goes_back() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.promote(NEW)
        case.name(NEW, epoch=5, by=(S3,))
        case.name(THIRD, epoch=4, by=(S2,))
        watcher.look()
        await asyncio.sleep(0.1)
        assert (watcher.topology.master, watcher.topology.epoch) == (NEW, 5)
        case.roles[THIRD] = case.roles[OLD] = "master"  # all of them claim it
        for _ in range(20):
            watcher.look()
            await asyncio.sleep(0.5)
        assert case.masters == [OLD, NEW]


@virtual
async def test_a_stale_switch_event_changes_nothing() -> None:
    case = Case()
    async with watching(case) as watcher:
        published = len(case.published)
        case.say("+switch-master", "m h 6379 h 6380")
        case.say("+switch-master", "m h 6381 h 6379")
        case.say("+switch-master", "other h 6381 h 6380")
        await asyncio.sleep(5)
        assert len(case.published) == published
        assert (watcher.topology.master, case.fences) == (OLD, [])


@virtual
async def test_a_group_that_was_set_up_anew_is_believed_when_every_sentinel_says_so() -> None:
    case = Case()
    case.name(OLD, epoch=7)
    async with watching(case) as watcher:
        assert watcher.topology.epoch == 7
        case.promote(THIRD)
        case.name(THIRD, epoch=0)
        watcher.look()
        await asyncio.sleep(1)
        assert (watcher.topology.master, watcher.topology.epoch) == (THIRD, 0)


@virtual
async def test_a_minority_with_an_older_epoch_is_not_believed() -> None:
    case = Case()
    case.name(NEW, epoch=7)
    case.promote(NEW)
    async with watching(case) as watcher:
        case.name(OLD, epoch=1, by=(S1,))
        case.roles[OLD] = "master"
        for address in (S2, S3):
            case.group.at[address].die()
        for _ in range(20):
            watcher.look()
            await asyncio.sleep(0.5)
        assert (watcher.topology.master, case.masters) == (NEW, [NEW])


@virtual
async def test_a_dead_sentinel_does_not_delay_a_switch() -> None:
    for trouble in ("die", "hang"):
        case = Case()
        async with watching(case) as watcher:
            if trouble == "die":
                case.group.at[S1].die()
            else:
                case.group.at[S1].hung = True
            await asyncio.sleep(3)
            case.promote(NEW)
            case.name(NEW, epoch=2)
            case.say("+switch-master", "m h 6379 h 6380")
            await asyncio.sleep(0.1)
            assert watcher.topology.master == NEW
            assert "s1:26379" in watcher.causes


@virtual
async def test_suspicion_makes_it_ask_often_until_the_master_proves_well() -> None:
    case = Case()
    async with watching(case) as watcher:
        await asyncio.sleep(10)
        before, asked = case.rounds, case.verified.count(OLD)
        watcher.suspect()
        await asyncio.sleep(0.1)
        assert case.rounds > before
        assert case.verified.count(OLD) > asked
        before = case.rounds
        await asyncio.sleep(2)
        assert case.rounds - before <= 3  # it answered: calm again
        case.roles[OLD] = None
        watcher.suspect()
        before = case.rounds
        await asyncio.sleep(2)
        assert case.rounds - before >= 2


@virtual
async def test_a_failover_in_sight_is_what_any_sentinel_says() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.group.at[S3].flags = "s_down,master"
        watcher.look()
        await asyncio.sleep(0.1)
        assert watcher.failover_in_sight
        case.flag("master")
        await asyncio.sleep(1)
        assert not watcher.failover_in_sight


@virtual
async def test_with_no_sentinel_there_is_no_master_and_each_says_why() -> None:
    case = Case()
    for sentinel in case.group.at.values():
        sentinel.down = True
    async with watching(case) as watcher:
        await asyncio.sleep(5)
        assert watcher.topology.master is None
        assert case.rounds > 5
        assert set(watcher.causes) == {"s1:26379", "s2:26379", "s3:26379"}
        assert all("nobody listens" in cause for cause in watcher.causes.values())
        for sentinel in case.group.at.values():
            sentinel.down = False
        await asyncio.sleep(1.5)
        assert watcher.topology.master == OLD


@virtual
async def test_the_last_known_master_stays_while_no_sentinel_answers() -> None:
    case = Case()
    async with watching(case) as watcher:
        for sentinel in case.group.at.values():
            sentinel.die()
        await asyncio.sleep(30)
        assert (watcher.topology.master, case.masters) == (OLD, [OLD])


@virtual
async def test_new_replicas_and_sentinels_are_published() -> None:
    case = Case()
    fourth = Address("h", 6382)
    async with watching(case, sentinels=(S1,)) as watcher:
        assert watcher.topology.sentinels == SENTINELS
        for sentinel in case.group.at.values():
            sentinel.replicas += (fourth,)
        case.say("+slave", "slave h:6382 h 6382 @ m h 6379")
        await asyncio.sleep(2 * SOON)
        assert watcher.topology.replicas == (NEW, THIRD, fourth)
        assert case.masters == [OLD]


@virtual
async def test_a_sentinel_that_comes_back_is_asked_at_once() -> None:
    case = Case()
    async with watching(case, poll_interval=60.0) as watcher:
        for sentinel in case.group.at.values():
            sentinel.die()
        await asyncio.sleep(5)
        case.promote(NEW)
        case.name(NEW, epoch=2)
        for sentinel in case.group.at.values():
            sentinel.down = False
        await asyncio.sleep(1.5)
        assert watcher.topology.master == NEW
