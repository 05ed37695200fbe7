from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from sahool_cache.address import Address
from sahool_cache.settings import AddressMap, NearCacheSettings, RedisSettings, TLSSettings
from tests.unit.settings_place import SECRET, WHERE, Place, empty_place, refused


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return empty_place(monkeypatch, tmp_path)


def test_the_defaults_are_those_of_the_contract() -> None:
    made = RedisSettings(**WHERE)
    values = {name: getattr(made, name) for name in RedisSettings.model_fields}
    assert values == {
        "sentinels": (("h1", 26379),),
        "master_name": "m",
        "username": None,
        "password": None,
        "password_file": None,
        "db": 0,
        "tls": None,
        "sentinel_username": None,
        "sentinel_password": None,
        "sentinel_password_file": None,
        "sentinel_tls": None,
        "socket_timeout": 5.0,
        "socket_connect_timeout": 5.0,
        "max_connections": 50,
        "max_connection_age": None,
        "command_timeout": 10.0,
        "decode_responses": True,
        "address_map": {},
        "read_from": "master",
        "max_replica_lag": 2.0,
        "early_promotion": True,
        "durability": 0,
        "durability_timeout": 0.1,
        "near_cache": False,
        "lanes": 1,
        "max_waiting": 100_000,
        "slow_threshold": 0.1,
        "client_name": None,
        "sentinel_timeout": 0.3,
        "poll_interval": 5.0,
        "quiet_after": 0.2,
        "breaker_failures": 3,
        "breaker_open_for": 1.0,
        "breaker_probes": 1,
        "retry_budget": 20_000,
    }


@pytest.mark.parametrize("model", [NearCacheSettings, RedisSettings, TLSSettings])
def test_every_field_says_what_it_is_in_one_sentence(
    model: type[NearCacheSettings | RedisSettings | TLSSettings],
) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert re.fullmatch(r"[A-Z].*[^.]\.", field.description), name
    assert set(model.model_json_schema()["properties"]) == set(model.model_fields)


@pytest.mark.parametrize(
    ("given_sentinels", "expected"),
    [
        (["a"], [("a", 26379)]),
        (("a:1", ("b", 2), Address("c", 3)), [("a", 1), ("b", 2), ("c", 3)]),
        ([["a", 1], ("b", "2")], [("a", 1), ("b", 2)]),
        ("a:1, b ,c:3,", [("a", 1), ("b", 26379), ("c", 3)]),
        (["[::1]:26379", "::1", ("[::1]", 26379), "[0:0::1]"], [("::1", 26379)]),
        (["b", "a:1", "b:26379", "a:1"], [("b", 26379), ("a", 1)]),
        (
            ["redis_1.example-net.", "10.0.0.1"],
            [("redis_1.example-net.", 26379), ("10.0.0.1", 26379)],
        ),
    ],
)
def test_sentinels_are_read_from_any_spelling(given_sentinels: Any, expected: list[Any]) -> None:
    made = RedisSettings(sentinels=given_sentinels, master_name="m")
    assert made.sentinels == tuple(expected)
    assert all(type(each) is Address for each in made.sentinels)


@pytest.mark.parametrize(
    ("given_value", "seconds"),
    [
        (3, 3.0),
        (0.25, 0.25),
        ("1.5", 1.5),
        (timedelta(milliseconds=250), 0.25),
    ],
)
@pytest.mark.parametrize("field", ["command_timeout", "socket_timeout", "slow_threshold"])
def test_durations_are_seconds_however_they_are_written(
    field: str, given_value: Any, seconds: float
) -> None:
    value = getattr(RedisSettings(**WHERE, **{field: given_value}), field)
    assert value == seconds
    assert type(value) is float


@pytest.mark.parametrize("off", [None, "off", "None"])
def test_the_slow_threshold_can_be_off(off: Any) -> None:
    assert RedisSettings(**WHERE, slow_threshold=off).slow_threshold is None


@pytest.mark.parametrize(
    "written",
    [
        {"redis:6379": "localhost:7000", "[::1]:6379": "localhost:7001"},
        {("redis", 6379): ("localhost", 7000), Address("::1", 6379): "localhost:7001"},
        '{"redis:6379": "localhost:7000", "[::1]:6379": "localhost:7001"}',
        "redis:6379=localhost:7000, [::1]:6379=localhost:7001",
    ],
)
def test_an_address_map_leads_to_where_servers_are_reached(written: Any) -> None:
    made = RedisSettings(**WHERE, address_map=written)
    assert made.reachable(Address("redis", 6379)) == ("localhost", 7000)
    assert made.reachable(Address("::1", 6379)) == Address("localhost", 7001)
    assert made.reachable(Address("other", 6379)) == Address("other", 6379)
    assert made.address_map == {
        ("redis", 6379): ("localhost", 7000),
        ("::1", 6379): ("localhost", 7001),
    }
    assert len(made.address_map) == 2


def test_an_empty_text_is_no_credential(place: Place) -> None:
    place.environment(REDIS_CLIENT_NAME="web")
    made = RedisSettings(
        **WHERE, username="", password="", sentinel_password=SecretStr(""), client_name=""
    )
    assert (made.username, made.password, made.sentinel_password) == (None, None, None)
    assert made.client_name is None


NUMBERS = ("db", "max_connections", "lanes", "max_waiting", "breaker_failures", "breaker_probes")
DURATIONS = (
    *("socket_timeout", "socket_connect_timeout", "command_timeout", "max_replica_lag"),
    *("slow_threshold", "sentinel_timeout", "poll_interval", "quiet_after", "breaker_open_for"),
)
WRONG_SENTINELS: list[Any] = [
    *([], "", ",", None, 5, ("h", 1), Address("h", 1)),
    *([each] for each in ("", "h:x", "h:0", "h:65536", "a b", "a:1:2", "[::1", 7)),
    *([each] for each in (("h", 0), ("h", True), ("h", "x"), ("h",), ("", 1))),
]
WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in NUMBERS for value in (True, -1, 1.5, "x", None)),
    *((name, value) for name in DURATIONS for value in (True, 0, -1, "x", "inf", float("nan"))),
    *((name, timedelta(0)) for name in DURATIONS),
    *((name, None) for name in DURATIONS if name != "slow_threshold"),
    *(("sentinels", value) for value in WRONG_SENTINELS),
    *(("master_name", value) for value in ("", " ", None, 5)),
    *(("address_map", value) for value in ("a:1", "a=b", "a:1=b", "{", '{"a:1": 5}', "[1]", 5)),
    *(("address_map", value) for value in ({"a": "b:1"}, {"a:1": "b:1", ("a", 1): "b:2"})),
    *(("address_map", value) for value in ({"a:1": None}, '{"a:1":' * 100_000)),
    *(("read_from", value) for value in ("slave", "", None, True)),
    *(("client_name", value) for value in ("my service", "line\nend", "ä", 5)),
    ("retry_budget", -1),
    ("max_connections", 1),
    ("lanes", 0),
    ("lanes", 50),
    ("max_waiting", 0),
    ("breaker_failures", 0),
    ("decode_responses", "perhaps"),
    ("early_promotion", None),
    ("password", 5),
    ("username", 5),
    ("sentinel_password", ["x"]),
    ("sentinel_username", 5),
    ("tls", "perhaps"),
    ("tls", 2),
    ("sentinel_tls", "perhaps"),
    ("sentinel_tls", {"no_such_detail": 1}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisSettings(**{**WHERE, field: value})
    assert {each["loc"][0] for each in caught.value.errors()} == {field}
    assert field in str(caught.value)


def test_lanes_leave_room_for_an_exclusive_connection() -> None:
    assert RedisSettings(**WHERE, max_connections=3, lanes=2).lanes == 2
    message = refused(lambda: RedisSettings(**WHERE, max_connections=3, lanes=3))
    assert re.search(r"lanes\n.*less than max_connections, which is 3", message)


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [
        ("max_conections", "max_connections"),
        ("sentinel", "sentinels"),
        ("Password", "password"),
        ("far_cache", "near_cache"),
    ],
)
@pytest.mark.parametrize("make", [RedisSettings, RedisSettings.isolated, RedisSettings.from_env])
def test_an_unknown_setting_is_named_with_the_nearest_known(
    make: Callable[..., RedisSettings], unknown: str, nearest: str
) -> None:
    message = refused(lambda: make(**WHERE, **{unknown: 1}))
    assert f"{unknown!r}" in message
    assert f"{nearest!r}" in message


def test_settings_cannot_be_changed() -> None:
    made = RedisSettings(**WHERE)
    with pytest.raises(ValueError, match="frozen"):
        made.db = 1
    with pytest.raises(ValueError, match="frozen") as refusal:
        made.password = "hunter2"  # type: ignore[assignment]
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(ValueError, match="frozen") as refusal:
        TLSSettings().key_password = "hunter2"  # type: ignore[assignment]
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(TypeError):
        made.address_map["a"] = "b"  # type: ignore[index]


FULL: dict[str, Any] = {
    **WHERE,
    "password": SECRET,
    "address_map": {"a:1": "b:2"},
    "tls": TLSSettings(min_version="TLSv1.3"),
    "command_timeout": timedelta(seconds=2),
}


@pytest.mark.parametrize(
    "through",
    [
        lambda made: pickle.loads(pickle.dumps(made)),  # noqa: S301
        copy.copy,
        copy.deepcopy,
        lambda made: made.model_copy(),
        lambda made: made.model_copy(deep=True),
        lambda made: RedisSettings.isolated(**made.model_dump()),
        lambda made: RedisSettings.model_validate(made.model_dump()),
    ],
)
def test_a_copy_is_equal(through: Callable[[RedisSettings], RedisSettings]) -> None:
    made = RedisSettings(**FULL)
    other = through(made)
    assert other == made
    assert hash(other) == hash(made)
    assert other.password == SecretStr(SECRET)
    assert type(other.sentinels[0]) is Address
    assert type(other.address_map) is AddressMap


def test_a_copy_with_changes_is_checked_and_asks_no_environment(place: Place) -> None:
    made = RedisSettings(**FULL)
    place.environment(REDIS_DB="7", REDIS_USERNAME="other")
    changed = made.model_copy(update={"sentinels": "x:1", "lanes": "2", "password": "new"})
    assert changed.sentinels == (("x", 1),)
    assert (changed.lanes, changed.db, changed.username) == (2, 0, None)
    assert changed.password == SecretStr("new")
    assert (changed.tls, changed.master_name) == (made.tls, "m")
    assert (made.lanes, made.password) == (1, SecretStr(SECRET))
    assert "lanes" in refused(lambda: made.model_copy(update={"lanes": 0}))
    assert "'lane'" in refused(lambda: made.model_copy(update={"lane": 1}))


def test_repr_is_short() -> None:
    hosts = ["a", "b:1", "[::1]:2", "c", "d"]
    made = RedisSettings(sentinels=hosts, master_name="m", db=3, password=SECRET)
    assert repr(made) == (
        "RedisSettings(master_name='m', sentinels='a:26379, b:1, [::1]:2, +2 more', db=3, "
        "read_from='master')"
    )
    assert str(made).startswith("master_name='m' sentinels=")
    assert repr(RedisSettings(**FULL).address_map) == "AddressMap({'a:1': 'b:2'})"


def test_json_that_is_shown_can_be_read() -> None:
    made = RedisSettings(**FULL)
    shown = json.loads(made.model_dump_json())
    assert shown["sentinels"] == ["h1:26379"]
    assert shown["address_map"] == {"a:1": "b:2"}
    assert RedisSettings.isolated(**{**shown, "password": SECRET}) == made


@pytest.mark.parametrize(
    "field", ["username", "password", "sentinel_username", "sentinel_password"]
)
def test_half_a_character_cannot_be_a_name_or_a_password(field: str) -> None:
    message = refused(lambda: RedisSettings(**WHERE, **{field: f"{SECRET}\ud800"}))
    assert field in message
    assert "surrogate" in message


def test_a_count_that_nobody_can_mean_is_refused() -> None:
    assert "retry_budget" in refused(lambda: RedisSettings(**WHERE, retry_budget=10**400))


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "most", None, [1]])
def test_durability_is_a_number_of_replicas_or_all(wrong: Any) -> None:
    assert "durability" in refused(lambda: RedisSettings(**WHERE, durability=wrong))
    assert [RedisSettings(**WHERE, durability=n).durability for n in (0, "2", "ALL")] == [
        0,
        2,
        "all",
    ]
