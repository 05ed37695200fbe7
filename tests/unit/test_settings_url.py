from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from sahool_cache.address import Address
from sahool_cache.settings import RedisSettings
from sahool_cache.settings.names import flat_names
from tests.unit.settings_place import SECRET, Place, empty_place, refused


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return empty_place(monkeypatch, tmp_path)


def test_a_url_names_everything() -> None:
    made = RedisSettings.from_url(
        "redis+sentinel://user:pw@h1:26380,h2,[::1]:26381/sahool-master/5"
        "?sentinel_password=a+b%26c&read_from=nearest&slow_threshold=off"
    )
    assert made.sentinels == (("h1", 26380), ("h2", 26379), ("::1", 26381))
    assert (made.username, made.password) == ("user", SecretStr("pw"))
    assert (made.master_name, made.db, made.tls) == ("sahool-master", 5, None)
    assert made.sentinel_password == SecretStr("a+b&c")
    assert (made.read_from, made.slow_threshold) == ("nearest", None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+sentinel://h/m", {"sentinels": (("h", 26379),), "master_name": "m", "db": 0}),
        ("REDIS+Sentinel://h/m/", {"master_name": "m", "db": 0}),
        (" redis+sentinel://h/m\n", {"master_name": "m"}),
        ("redis+sentinel://h?master_name=m", {"master_name": "m"}),
        ("redis+sentinel://h/my%2Fmaster%40x", {"master_name": "my/master@x"}),
        ("redis+sentinel://:p%3A%40%2F%3F%23@h/m", {"username": None, "password": "p:@/?#"}),
        ("redis+sentinel://u@h/m", {"username": "u", "password": None}),
        ("redis+sentinel://us%3Aer:a:b@h/m", {"username": "us:er", "password": "a:b"}),
        ("redis+sentinel://u:a@b@h/m", {"username": "u", "password": "a@b"}),
        ("redis+sentinel://u:%D9%85@h/m", {"password": "م"}),
        ("redis+sentinel://::1,[::2]/m", {"sentinels": (("::1", 26379), ("::2", 26379))}),
        ("redis+sentinel://h/m?password=a@b=c", {"password": "a@b=c"}),
        ("redis+sentinel://h/m?username=u&password=p", {"username": "u", "password": "p"}),
    ],
)
def test_parts_of_a_url(url: str, expected: dict[str, Any]) -> None:
    made = RedisSettings.from_url(url)
    for name, value in expected.items():
        found = getattr(made, name)
        assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "scheme"),
        ("h/m", "scheme"),
        (SECRET, "scheme"),
        (f"redis://u:{SECRET}@h/m", "scheme"),
        (f"redis+sentinels://u:{SECRET}@h/m", "scheme"),
        ("redis+sentinel://", "host"),
        (f"redis+sentinel://u:{SECRET}@/m", "host"),
        (f"redis+sentinel://u:{SECRET}@h1,,h2/m", "host 2"),
        (f"redis+sentinel://u:{SECRET}@a b/m", "host 1"),
        (f"redis+sentinel://u:{SECRET}@h%FF/m", "host 1"),
        (f"redis+sentinel://u:{SECRET}@h:x/m", "port of host 1"),
        (f"redis+sentinel://u:{SECRET}@h1,h2:0/m", "port of host 2"),
        (f"redis+sentinel://u:{SECRET}@[::1]:65536/m", "port of host 1"),
        (f"redis+sentinel://u:{SECRET}@h", "master name"),
        (f"redis+sentinel://u:{SECRET}@h/", "master_name"),
        (f"redis+sentinel://u:{SECRET}@h//0", "master name"),
        (f"redis+sentinel://u:{SECRET}@h/m/x", "db"),
        (f"redis+sentinel://u:{SECRET}@h/m/-1", "db"),
        (f"redis+sentinel://u:{SECRET}@h/m/0/1", "db"),
        (f"redis+sentinel://u:{SECRET}@h/m/0#x", "fragment"),
        (f"redis+sentinel://u:%FF{SECRET}@h/m", "password"),
        (f"redis+sentinel://u:{SECRET}@h/m?read_fom=master", "'read_fom'"),
        (f"redis+sentinel://u:{SECRET}@h/m?tls_cafile=x", "'tls_ca_file'"),
        (f"redis+sentinel://u:{SECRET}@h/m?far_cache=1", "'far_cache'"),
        (f"redis+sentinel://u:{SECRET}@h/m?lanes=1&lanes=1", "lanes twice"),
        (f"redis+sentinel://u:{SECRET}@h/m/1?db=1", "db twice"),
        (f"redis+sentinel://u:{SECRET}@h/m?password={SECRET}", "password twice"),
        (f"redis+sentinel://u:{SECRET}@h/m?sentinels=h", "sentinels twice"),
        (f"redis+sentinel://u:{SECRET}@h/m?sentinel_password={SECRET}%FF", "sentinel_password"),
        (f"redis+sentinel://u:{SECRET}@h/m?lanes=x", "lanes"),
        (f"rediss+sentinel://u:{SECRET}@h/m?tls=false", "tls=false"),
        # passwords that needed encoding: : @ / ? # are taken for what they usually mean
        (f"redis+sentinel://u:1/{SECRET}@h/m", "@"),
        (f"redis+sentinel://u:1?{SECRET}@h/m", "parameter"),
        (f"redis+sentinel://u:1?{SECRET}=1@h/m", "parameter"),
        (f"redis+sentinel://h/m?{SECRET}=1@h/m", "parameter"),
        (f"redis+sentinel://u:{SECRET}?x@h/m", "port of host 1"),
        (f"redis+sentinel://u:{SECRET}#x@h/m", "fragment"),
    ],
)
def test_a_wrong_url_names_the_part_and_no_secret(url: str, part: str) -> None:
    message = refused(lambda: RedisSettings.from_url(url))
    assert part in message
    assert SECRET not in message


@pytest.mark.parametrize("url", [None, 5, b"redis+sentinel://h/m"])
def test_a_url_is_a_text(url: Any) -> None:
    assert "URL" in refused(lambda: RedisSettings.from_url(url))


PIECES = st.sampled_from(
    (
        *("://", "redis+sentinel", "rediss", *"/?&=@:,#%[]", "%FF", "%40", "::1", "h", "m"),
        *("0", "26379", "-1", "tls", "tls_ca_file", "~x", "lanes", "\0"),
    )
)
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
NAMES = st.sampled_from(flat_names(RedisSettings.model_fields))
QUERY = st.lists(st.tuples(NAMES, TEXT).map("=".join), max_size=3).map("&".join)
URLS = (
    TEXT
    | TEXT.map("redis+sentinel://{}".format)
    | st.tuples(TEXT, TEXT).map(lambda parts: f"rediss+sentinel://u:{parts[0]}@h/m/{parts[1]}")
    | QUERY.map("redis+sentinel://h/m?{}".format)
)
BRIEFLY = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BRIEFLY
@given(url=URLS)
def test_any_url_gives_settings_or_a_value_error(url: str) -> None:
    try:
        made = RedisSettings.from_url(url)
    except ValueError:
        return
    assert made.sentinels
    assert made.master_name


@BRIEFLY
@given(password=st.text(min_size=1), username=st.text(), master_name=st.text(min_size=1))
def test_a_url_carries_any_text_when_it_is_encoded(
    password: str, username: str, master_name: str
) -> None:
    quoted = [quote(text, safe="") for text in (username, password, f"m{master_name}")]
    made = RedisSettings.from_url("redis+sentinel://{}:{}@h/{}".format(*quoted))
    assert made.username == (username or None)
    assert made.password == SecretStr(password)
    assert made.master_name == f"m{master_name}"


@BRIEFLY
@given(password=st.text(alphabet="ab1:/?#[]@&=%,+", min_size=1, max_size=8), rest=TEXT)
def test_no_password_in_a_url_is_ever_quoted(password: str, rest: str) -> None:
    secret = f"{SECRET}{password}{SECRET}"
    try:
        made = RedisSettings.from_url(f"redis+sentinel://u:{secret}@h/m/{rest}")
    except ValueError as error:
        shown = str(error)
    else:
        shown = f"{made!r} {made}"
    assert SECRET not in shown


@BRIEFLY
@given(written=TEXT | st.dictionaries(TEXT, TEXT | st.integers(), max_size=3))
def test_any_address_map_gives_settings_or_a_value_error(written: Any) -> None:
    try:
        made = RedisSettings.isolated(sentinels=["h"], master_name="m", address_map=written)
    except ValidationError as error:
        shown = str(error)
    else:
        shown = "address_map"
        assert all(type(each) is Address for each in made.address_map.values())
    assert "address_map" in shown
