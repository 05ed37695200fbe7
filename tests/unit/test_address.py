from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sahool_cache.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("h:1", ("h", 1)),
        ("  h:6379\n", ("h", 6379)),
        ("redis-1.example.com:65535", ("redis-1.example.com", 65535)),
        ("10.0.0.1:26379", ("10.0.0.1", 26379)),
        ("[::1]:26379", ("::1", 26379)),
        ("[fe80::1%eth0]:26379", ("fe80::1%eth0", 26379)),
        ("h", ("h", 7)),
        ("h:", ("h", 7)),
        ("::1", ("::1", 7)),
        ("fd00:0:0::2", ("fd00:0:0::2", 7)),
        ("[fd00::2]", ("fd00::2", 7)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert Address.parse(text, 7) == address


@pytest.mark.parametrize("text", ["", "  ", ":6379", "[]:6379", "h:0", "h:65536", "h:-1", "h:x",
                                  "h:1.5", "h:6379x", "[::1]x", "h:²"])  # fmt: skip
def test_what_is_no_address_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port") as caught:
        Address.parse(text, 7)
    assert repr(text.strip()) in str(caught.value)


@pytest.mark.parametrize("text", ["h", "::1", "[::1]"])
def test_without_a_default_the_port_must_be_there(text: str) -> None:
    with pytest.raises(ValueError, match="no port"):
        Address.parse(text)


def test_an_address_equals_the_plain_pair_and_is_told_as_host_and_port() -> None:
    address = Address("h", 1)
    assert address == ("h", 1)
    assert {("h", 1): "found"}[address] == "found"
    assert (str(address), str(Address("::1", 1))) == ("h:1", "[::1]:1")
    assert pickle.loads(pickle.dumps(address)) == address  # noqa: S301


HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(HOSTS, st.integers(1, 65535))
def test_what_is_told_can_be_read_again(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address
    assert Address.parse(host, port) == address
