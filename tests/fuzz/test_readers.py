"""
What is read of sentinels and servers without a network: sense, or an error of a known kind.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sahool_cache.address import Address
from sahool_cache.routing.announcement import read_announcement
from sahool_cache.routing.discovery import SentinelView, questions, read_view
from sahool_cache.routing.rotation import read_replication
from tests.fuzz.garbage import HOSTS, PORTS, TEXTS, VALUES
from tests.unit.sentinels import FakeSentinel

BRIEFLY = settings(max_examples=400, deadline=None, derandomize=True, database=None)
S, M, R = Address("127.0.0.1", 26379), Address("127.0.0.1", 6379), Address("127.0.0.1", 6380)


def reachable(address: Address) -> Address:
    """
    Refuses what nobody could dial.
    """
    assert isinstance(address.host, str)
    assert address.host
    assert 0 < address.port < 65536
    return address


def right_replies() -> list[Any]:
    sentinel = FakeSentinel(S, M, replicas=(R,))
    sentinel.peers = (sentinel, FakeSentinel(Address("127.0.0.1", 26380), M))
    return [sentinel.answer(question) for question in questions("m")]


@st.composite
def wrong_replies(draw: st.DrawFn) -> list[Any]:
    """
    A sentinel's replies, of which one is something else, or has something else in it.
    """
    replies = right_replies()
    place = draw(st.integers(0, len(replies) - 1))
    reply = replies[place]
    row = reply[0] if isinstance(reply, list) and reply and isinstance(reply[0], dict) else reply
    match row, draw(st.booleans()):
        case dict(), True:
            row[draw(st.sampled_from(sorted(row)))] = draw(TEXTS | VALUES)
        case list(), True:
            row[draw(st.integers(0, len(row) - 1))] = draw(TEXTS | VALUES)
        case _:
            replies[place] = draw(VALUES)
    return replies


@BRIEFLY
@given(st.one_of(wrong_replies(), st.lists(VALUES, min_size=5, max_size=5)))
def test_a_view_names_who_can_be_dialled_or_there_is_none(replies: list[Any]) -> None:
    try:
        view = read_view(S, "m", replies, reachable)
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001  # whatever it is, the sentinel's link tells it
        return
    assert isinstance(view, SentinelView)
    for address in (view.master, *view.members, *view.peers.values()):
        assert isinstance(address, Address)


def test_the_right_replies_are_read() -> None:
    view = read_view(S, "m", right_replies(), reachable)
    assert (view.master, view.members, len(view.peers)) == (M, (R,), 1)


EVENTS = st.sampled_from(
    ("+switch-master", "+sdown", "-odown", "+selected-slave", "+promoted-slave", "-failover-abort")
)
LINES = st.lists(
    st.sampled_from((*HOSTS, *PORTS, "m", "@", "master", "slave", "sentinel", "127.0.0.1"))
    | st.text(max_size=5),
    max_size=9,
).map(" ".join)


@BRIEFLY
@given(EVENTS | st.text(max_size=5), LINES)
def test_an_announcement_names_who_can_be_dialled_or_nobody(event: str, text: str) -> None:
    said = read_announcement(event, text, "m", reachable)
    assert said is None or said.event == event


@BRIEFLY
@given(EVENTS, st.sampled_from(HOSTS), st.sampled_from(PORTS))
def test_an_announced_address_is_one_or_none(event: str, host: str, port: str) -> None:
    for text in (
        f"slave x {host} {port} @ m h 1",
        f"m h 1 {host} {port}",
        f"slave m {host} {port}",
    ):
        read_announcement(event, text.replace("slave x", "slave m"), "m", reachable)


FACTS = st.fixed_dictionaries(
    {"ip": st.just("127.0.0.1") | TEXTS, "port": st.just("6380") | TEXTS},
    optional={"state": st.just("online") | TEXTS, "lag": st.just("1") | TEXTS, "offset": TEXTS},
).map(lambda facts: ",".join(f"{name}={value}" for name, value in facts.items()))
NAMES = st.sampled_from(("slave0", "slave1", "slave²", "slave٣", "slave", "role"))
INFOS = st.lists(st.tuples(NAMES, FACTS).map(":".join) | TEXTS, max_size=6).map("\r\n".join)


@BRIEFLY
@given(INFOS | INFOS.map(str.encode) | VALUES)
def test_replication_lists_who_can_be_dialled(info: Any) -> None:
    reached, listed = read_replication(info, reachable)
    assert reached >= 0
    for address, row in listed.items():
        assert isinstance(address, Address)
        assert isinstance(row.state, str)
        assert isinstance(row.silent, float)
        assert row.offset >= 0
