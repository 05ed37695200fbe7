from __future__ import annotations

import asyncio

from sahool_cache.address import Address
from sahool_cache.routing.topology import Topology
from tests.unit.clock import virtual
from tests.unit.watchers import CHOSEN, NEW, OLD, S1, S3, SENTINELS, THIRD, Case, watching


@virtual
async def test_a_promotion_is_followed_early_and_then_confirmed() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        await asyncio.sleep(0.5)
        assert (watcher.fenced, case.fences) == (True, [("+selected-slave", False)])
        assert watcher.topology.master == OLD
        case.promote(NEW)
        await asyncio.sleep(0.05)
        assert watcher.topology == Topology(
            master=NEW, replicas=(OLD, THIRD), sentinels=SENTINELS, epoch=1, provisional=True
        )
        assert case.fences[1:] == [("new master",)]
        # Every sentinel names the old master for another second: that is no news.
        await asyncio.sleep(1)
        assert watcher.topology.provisional
        case.name(NEW, epoch=2)
        case.say("+switch-master", "m h 6379 h 6380")
        await asyncio.sleep(0.1)
        assert (watcher.topology.epoch, watcher.topology.provisional) == (2, False)
        assert case.masters == [OLD, NEW]
        orders = [topology.order for topology in case.published]
        assert orders == sorted(orders)


@virtual
async def test_a_promotion_that_comes_to_nothing_is_taken_back_when_all_agree() -> None:
    for dead in ((), (S3,)):
        case = Case()
        async with watching(case) as watcher:
            for address in dead:
                case.group.at[address].die()
            case.choose()
            case.promote(NEW)
            await asyncio.sleep(0.1)
            assert (watcher.topology.master, watcher.topology.provisional) == (NEW, True)
            case.promote(OLD)
            case.name(OLD, epoch=1)
            await asyncio.sleep(3)
            assert (watcher.topology.master, watcher.topology.provisional) == (OLD, False)
            assert case.masters == [OLD, NEW, OLD]


@virtual
async def test_a_provisional_master_that_says_so_is_kept_while_the_failover_is_under_way() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        case.roles[NEW] = "master"  # and the old one claims it too
        await asyncio.sleep(20)
        assert (watcher.topology.master, watcher.topology.provisional) == (NEW, True)


@virtual
async def test_a_provisional_master_that_no_sentinel_confirms_is_given_up_in_the_end() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        case.roles[NEW] = "master"
        await asyncio.sleep(0.5)
        case.name(OLD, epoch=1)
        await asyncio.sleep(3)
        assert watcher.topology.master == NEW
        await asyncio.sleep(5)
        assert (watcher.topology.master, watcher.topology.provisional) == (OLD, False)


@virtual
async def test_without_early_promotion_the_fence_holds_until_a_sentinel_tells() -> None:
    case = Case()
    async with watching(case, early_promotion=False) as watcher:
        case.choose()
        case.promote(NEW)
        await asyncio.sleep(2)
        assert (watcher.topology.master, watcher.fenced) == (OLD, True)
        assert NEW not in case.verified
        case.name(NEW, epoch=2)
        case.say("+switch-master", "m h 6379 h 6380")
        await asyncio.sleep(0.1)
        assert (watcher.topology.master, watcher.fenced) == (NEW, False)


@virtual
async def test_a_failover_that_is_given_up_lifts_the_fence_and_ends_the_chase() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        await asyncio.sleep(0.1)
        case.name(OLD, epoch=1)
        case.say("-failover-abort-slave-timeout", "master m h 6379")
        assert not watcher.fenced
        await asyncio.sleep(0.1)
        asked = case.verified.count(NEW)
        await asyncio.sleep(5)
        assert case.verified.count(NEW) == asked
        assert case.masters == [OLD]


@virtual
async def test_a_chase_ends_by_itself_and_may_begin_anew() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        await asyncio.sleep(6)
        asked = case.verified.count(NEW)
        assert asked > 100
        await asyncio.sleep(30)
        assert (case.verified.count(NEW), watcher.fenced) == (asked, False)
        case.choose()
        case.promote(NEW)
        await asyncio.sleep(0.1)
        assert watcher.topology.master == NEW


@virtual
async def test_a_quorum_that_holds_the_master_for_down_raises_the_fence_as_a_crash() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.flag("s_down,o_down,master")
        case.say("+sdown", "master m h 6379", by=(S1,))
        assert not watcher.fenced
        case.say("+odown", "master m h 6379 #quorum 2/2", by=(S1,))
        assert (watcher.fenced, case.fences) == (True, [("+odown", True)])
        await asyncio.sleep(2)
        assert watcher.fenced
        case.flag("master")
        case.say("-odown", "master m h 6379", by=(S1,))
        await asyncio.sleep(1)
        assert not watcher.fenced


@virtual
async def test_one_sentinels_change_of_mind_does_not_lift_the_fence_of_the_others() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.flag("s_down,o_down,master")
        case.say("+odown", "master m h 6379 #quorum 3/2")
        case.group.at[S1].flags = "master"
        case.say("-odown", "master m h 6379", by=(S1,))
        await asyncio.sleep(2)
        assert watcher.fenced


@virtual
async def test_a_fence_without_any_reason_in_the_sentinels_views_falls_soon() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.say("+odown", "master m h 6379 #quorum 2/2")
        assert watcher.fenced
        await asyncio.sleep(1.5)
        assert not watcher.fenced


@virtual
async def test_while_the_leader_of_a_failover_is_silent_the_fence_stands() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        case.group.at[S1].hung = True
        await asyncio.sleep(2)
        assert watcher.fenced


@virtual
async def test_an_odown_of_another_master_is_old_news() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.say("+odown", "master m h 6380 #quorum 2/2")
        case.say("+selected-slave", "slave h:6379 h 6379 @ m h 6380")
        assert (watcher.fenced, case.fences) == (False, [])
        await asyncio.sleep(1)
        assert case.masters == [OLD]


@virtual
async def test_the_same_choice_told_by_many_events_is_chased_once() -> None:
    case = Case()
    async with watching(case) as watcher:
        case.choose()
        for event in ("+selected-slave", "+failover-state-wait-promotion", "+promoted-slave"):
            case.say(event, CHOSEN)
        await asyncio.sleep(0.1)
        chasing = [t for t in asyncio.all_tasks() if "promotion" in t.get_name()]
        assert (len(chasing), len(case.fences), watcher.fenced) == (1, 1, True)


class SlowToAnswer(Case):
    """
    Those servers take a tenth of a second to state their role.
    """

    def __init__(self, *slow: Address) -> None:
        super().__init__()
        self.slow = slow

    async def verify(self, address: Address) -> str | None:
        await asyncio.sleep(0.1 if address in self.slow else 0)
        return await super().verify(address)


@virtual
async def test_a_promotion_that_overtakes_the_check_of_the_old_master_is_left_as_it_is() -> None:
    for epoch in (1, 2):
        case = SlowToAnswer(OLD)
        async with watching(case) as watcher:
            case.name(OLD, epoch=epoch)
            watcher.suspect()
            await asyncio.sleep(0.01)
            case.choose()
            case.promote(NEW)
            await asyncio.sleep(0.2)
            assert all(snapshot.master not in snapshot.replicas for snapshot in case.published)
            assert watcher.topology == Topology(
                master=NEW,
                replicas=(OLD, THIRD),
                sentinels=SENTINELS,
                epoch=epoch,
                provisional=True,
            )


@virtual
async def test_a_promotion_that_overtakes_the_check_of_a_third_server_is_kept() -> None:
    case = SlowToAnswer(THIRD)
    async with watching(case) as watcher:
        case.name(THIRD, epoch=1)  # everybody: as if the group had been set up anew
        case.roles[THIRD] = "master"
        watcher.look()
        await asyncio.sleep(0.01)
        case.say("+selected-slave", CHOSEN)
        case.roles[NEW] = "master"
        await asyncio.sleep(0.2)
        assert (watcher.topology.master, watcher.topology.provisional) == (NEW, True)


@virtual
async def test_what_the_old_master_says_is_not_held_against_a_promotion_that_overtook_it() -> None:
    case = SlowToAnswer(OLD)
    async with watching(case) as watcher:
        case.roles[OLD] = "replica"
        case.roles[THIRD] = case.roles[NEW] = "master"
        case.name(THIRD, epoch=1, by=(S1, S3))
        case.group.at[SENTINELS[1]].hung = True
        watcher.suspect()
        await asyncio.sleep(0.01)
        case.say("+selected-slave", CHOSEN)
        await asyncio.sleep(1)
        assert (watcher.topology.master, watcher.topology.provisional) == (NEW, True)
