"""
The texts are what a Sentinel of Valkey 9.1 published in a planned failover and in a crash.
"""

from __future__ import annotations

import pytest

from sahool_cache.address import Address
from sahool_cache.routing.announcement import Announcement, Meaning, read_announcement

GROUP = "sahool-master"
OLD, NEW, THIRD = (Address("127.0.0.1", port) for port in (24134, 27780, 22003))
RUN_ID = "83913da0a9c534e1ba46357e3c542117a0defe56"
CHOSEN = "slave 127.0.0.1:27780 127.0.0.1 27780 @ sahool-master 127.0.0.1 24134"
MASTER = "master sahool-master 127.0.0.1 24134"


def read(event: str, text: str, name: str = GROUP) -> Announcement | None:
    return read_announcement(event, text, name, lambda address: address)


@pytest.mark.parametrize(
    ("event", "text", "meaning", "node"),
    [
        ("+switch-master", f"{GROUP} 127.0.0.1 24134 127.0.0.1 27780", Meaning.SWITCHED, NEW),
        ("+odown", f"{MASTER} #quorum 2/2", Meaning.DOWN, OLD),
        ("-odown", MASTER, Meaning.CALM, OLD),
        ("+sdown", MASTER, Meaning.SUSPECT, OLD),
        ("-sdown", MASTER, Meaning.LOOK, OLD),
        ("+try-failover", MASTER, Meaning.UNDER_WAY, OLD),
        ("+elected-leader", MASTER, Meaning.UNDER_WAY, OLD),
        ("+failover-state-select-slave", MASTER, Meaning.LOOK, OLD),
        ("+failover-state-reconf-slaves", MASTER, Meaning.LOOK, OLD),
        ("+failover-end", MASTER, Meaning.LOOK, OLD),
        ("+selected-slave", CHOSEN, Meaning.CHOSEN, NEW),
        ("+failover-state-wait-promotion", CHOSEN, Meaning.CHOSEN, NEW),
        ("+promoted-slave", CHOSEN, Meaning.CHOSEN, NEW),
        ("+failover-state-send-slaveof-noone", CHOSEN, Meaning.LOOK, NEW),
        ("-role-change", f"{CHOSEN} new reported role is master", Meaning.LOOK, NEW),
        ("+role-change", f"{CHOSEN} new reported role is slave", Meaning.LOOK, NEW),
        (
            "+slave-reconf-sent",
            "slave 127.0.0.1:22003 127.0.0.1 22003 @ sahool-master 127.0.0.1 24134",
            Meaning.LOOK,
            THIRD,
        ),
        ("+slave", CHOSEN, Meaning.LOOK, NEW),
        ("+sdown", CHOSEN, Meaning.LOOK, NEW),
        ("-sdown", CHOSEN, Meaning.LOOK, NEW),
        (
            "+config-update-from",
            f"sentinel {RUN_ID} 127.0.0.1 14453 @ sahool-master 127.0.0.1 24134",
            Meaning.LOOK,
            Address("127.0.0.1", 14453),
        ),
        (
            "+sdown",
            f"sentinel {RUN_ID} 127.0.0.1 14453 @ sahool-master 127.0.0.1 24134",
            Meaning.LOOK,
            Address("127.0.0.1", 14453),
        ),
        ("+monitor", f"{MASTER} quorum 2", Meaning.LOOK, OLD),
        ("-failover-abort-no-good-slave", MASTER, Meaning.ABORTED, OLD),
        ("-failover-abort-not-elected", MASTER, Meaning.ABORTED, OLD),
        ("-failover-abort-slave-timeout", MASTER, Meaning.ABORTED, OLD),
        ("+reset-master", MASTER, Meaning.LOOK, OLD),
        ("+something-of-a-later-version", MASTER, Meaning.LOOK, OLD),
    ],
)
def test_what_an_event_of_our_group_means(
    event: str, text: str, meaning: Meaning, node: Address
) -> None:
    said = read(event, text)
    assert said == Announcement(event=event, meaning=meaning, node=node)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("+new-epoch", "1"),
        ("+vote-for-leader", f"{RUN_ID} 1"),
        ("+tilt", "#tilt mode entered"),
        ("-tilt", "#tilt mode exited"),
        ("__sentinel__:hello", f"127.0.0.1,26379,{RUN_ID},1,{GROUP},127.0.0.1,24134,1"),
        ("news", MASTER),
        ("", ""),
        ("+switch-master", ""),
        ("+switch-master", f"{GROUP} 127.0.0.1"),
        ("+sdown", ""),
        ("+sdown", "master"),
        ("+sdown", "slave 127.0.0.1:27780 127.0.0.1 27780 @"),
    ],
)
def test_what_says_nothing_about_our_group(event: str, text: str) -> None:
    assert read(event, text) is None


@pytest.mark.parametrize("other", ["other", "sahool", "sahool-master-2", "127.0.0.1"])
@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("+switch-master", f"{GROUP} 127.0.0.1 24134 127.0.0.1 27780"),
        ("+odown", f"{MASTER} #quorum 2/2"),
        ("+promoted-slave", CHOSEN),
    ],
)
def test_another_groups_events_are_not_ours(event: str, text: str, other: str) -> None:
    assert read(event, text, other) is None


def test_announced_addresses_become_reachable_ones() -> None:
    def reachable(address: Address) -> Address:
        return Address("outside", address.port + 1)

    for event, text in (
        ("+switch-master", f"{GROUP} 10.0.0.1 6379 10.0.0.2 6380"),
        ("+promoted-slave", f"slave 10.0.0.2:6380 10.0.0.2 6380 @ {GROUP} 10.0.0.1 6379"),
    ):
        said = read_announcement(event, text, GROUP, reachable)
        assert said is not None
        assert said.node == ("outside", 6381)


def test_ipv6_addresses_and_host_names_are_read() -> None:
    said = read("+promoted-slave", f"slave [fd00::2]:6380 fd00::2 6380 @ {GROUP} fd00::1 6379")
    assert said is not None
    assert said.node == ("fd00::2", 6380)
    said = read("+switch-master", f"{GROUP} redis-1.example 6379 redis-2.example 6379")
    assert said is not None
    assert said.node == ("redis-2.example", 6379)


def test_an_unreadable_address_leaves_the_meaning() -> None:
    said = read("+odown", f"master {GROUP} 127.0.0.1 ?")
    assert said == Announcement(event="+odown", meaning=Meaning.DOWN, node=None)
