from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from sahool_cache.settings import RedisSettings
from sahool_cache.settings.names import flat_names
from tests.house import ROOT
from tests.unit.settings_place import SECRET, WHERE, Place, empty_place, refused

SEED = """
# Redis Configuration
REDIS_PASSWORD=your_secure_password_here
REDIS_MASTER_NAME=sahool-master
REDIS_DB=0

# Sentinel Configuration
REDIS_SENTINEL_HOST_1=localhost
REDIS_SENTINEL_HOST_2=localhost
REDIS_SENTINEL_HOST_3=localhost
REDIS_SENTINEL_PORT=26379

# Connection Settings
REDIS_SOCKET_TIMEOUT=5
REDIS_SOCKET_CONNECT_TIMEOUT=5
REDIS_MAX_CONNECTIONS=50
"""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return empty_place(monkeypatch, tmp_path)


SOURCES = ("keyword", "url", "url variable", "environment", "dotenv url", "dotenv")


def settings_from(place: Place, sources: tuple[str, ...]) -> RedisSettings:
    """
    Settings of which every named source gives all of five values, each tagged with its name.
    """
    tagged = {name: ("".join(filter(str.isalpha, name)), n) for n, name in enumerate(SOURCES, 1)}
    urls = {
        name: f"redis+sentinel://{tag}@{tag}/{tag}/{db}?client_name={tag}"
        for name, (tag, db) in tagged.items()
    }
    variables = {
        name: {
            "REDIS_USERNAME": tag,
            "REDIS_SENTINEL_HOST_1": tag,
            "REDIS_MASTER_NAME": tag,
            "REDIS_DB": str(db),
            "REDIS_CLIENT_NAME": tag,
        }
        for name, (tag, db) in tagged.items()
    }
    if "url variable" in sources:
        place.environment(REDIS_URL=urls["url variable"])
    if "environment" in sources:
        place.environment(**variables["environment"])
    in_file = variables["dotenv"] if "dotenv" in sources else {}
    if "dotenv url" in sources:
        in_file = {**in_file, "REDIS_URL": urls["dotenv url"]}
    place.dotenv(**in_file)
    keywords: dict[str, Any] = {}
    if "keyword" in sources:
        keywords = {
            "username": "keyword",
            "sentinels": ["keyword"],
            "master_name": "keyword",
            "db": 1,
            "client_name": "keyword",
        }
    if "url" in sources:
        return RedisSettings.from_url(urls["url"], **keywords)
    return RedisSettings.from_env(**keywords)


@pytest.mark.parametrize("pair", list(combinations(SOURCES, 2)), ids=" > ".join)
def test_the_higher_of_two_sources_wins(place: Place, pair: tuple[str, str]) -> None:
    made = settings_from(place, pair)
    tag = "".join(filter(str.isalpha, pair[0]))
    assert made.sentinels == ((tag, 26379),)
    assert (made.username, made.master_name, made.client_name) == (tag, tag, tag)
    assert made.db == SOURCES.index(pair[0]) + 1


def test_what_a_source_leaves_open_the_next_one_gives(place: Place) -> None:
    place.dotenv(REDIS_READ_FROM="nearest", REDIS_LANES="2", REDIS_USERNAME="file", REDIS_DB="4")
    place.environment(REDIS_LANES="3", REDIS_USERNAME="environment", REDIS_DB="5")
    made = RedisSettings.from_url("redis+sentinel://url@h/m", db=6)
    assert (made.db, made.username, made.lanes, made.read_from) == (6, "url", 3, "nearest")
    assert made.max_waiting == 100_000


def test_a_url_that_is_passed_takes_the_place_of_the_variable(place: Place) -> None:
    place.environment(REDIS_URL=f"rediss+sentinel://u:{SECRET}@other/other/3")
    made = RedisSettings.from_url("redis+sentinel://h/m")
    assert (made.username, made.password, made.db, made.tls) == (None, None, 0, None)


def test_a_mapping_is_replaced_whole(place: Place) -> None:
    place.environment(REDIS_ADDRESS_MAP='{"a:1": "b:1"}')
    made = RedisSettings(**WHERE, address_map={"c:1": "d:1"})
    assert made.address_map == {("c", 1): ("d", 1)}


def test_isolated_settings_ask_neither_environment_nor_file(place: Place) -> None:
    place.environment(REDIS_DB="5", REDIS_URL="redis+sentinel://x:broken", REDIS_TLS="true")
    place.dotenv(REDIS_USERNAME="file")
    assert RedisSettings.isolated(**WHERE) == RedisSettings.isolated(**WHERE, username=None)
    assert RedisSettings.isolated(**WHERE).db == 0
    assert RedisSettings.isolated(**WHERE).tls is None
    assert "sentinels" in refused(lambda: RedisSettings.isolated(master_name="m"))


def test_another_file_or_none_can_take_the_place_of_dotenv(place: Place) -> None:
    place.dotenv(REDIS_DB="1")
    (place.directory / "other.env").write_text("REDIS_DB=2", encoding="utf-8")
    assert RedisSettings(**WHERE).db == 1
    assert RedisSettings(**WHERE, _env_file=None).db == 0
    assert RedisSettings(**WHERE, _env_file="other.env").db == 2


def test_the_seeds_file_names_one_sentinel(place: Place) -> None:
    place.dotenv(SEED)
    made = RedisSettings.from_env()
    assert made.sentinels == (("localhost", 26379),)
    assert made.password == SecretStr("your_secure_password_here")
    assert (made.master_name, made.db, made.max_connections) == ("sahool-master", 0, 50)
    assert (made.socket_timeout, made.socket_connect_timeout) == (5.0, 5.0)


def test_the_example_file_is_the_seeds_and_names_every_variable(place: Place) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    place.dotenv(SEED)
    seed = RedisSettings.from_env()
    place.dotenv(example)
    assert RedisSettings.from_env() == seed
    named = {name.lower() for name in re.findall(r"^#?REDIS_(\w+)=", example, re.MULTILINE)}
    numbered = {name for name in named if re.fullmatch(r"sentinel_(host|port)_\d", name)}
    more = {"url", "sentinel_port", *numbered}
    assert named <= {*flat_names(RedisSettings.model_fields), *more}
    assert named >= RedisSettings.model_fields.keys() - {"sentinel_tls"} | more
    assert "sentinel_host_3" in numbered


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"REDIS_SENTINEL_HOST_1": "a"}, [("a", 26379)]),
        (
            {"REDIS_SENTINEL_HOST_2": "b", "REDIS_SENTINEL_HOST_10": "c"},
            [("b", 26379), ("c", 26379)],
        ),
        (
            {
                "REDIS_SENTINEL_HOST_1": "a",
                "REDIS_SENTINEL_HOST_2": "b:5",
                "REDIS_SENTINEL_HOST_3": "::1",
                "REDIS_SENTINEL_HOST_4": "[::2]:6",
                "REDIS_SENTINEL_HOST_7": "[::3]",
                "REDIS_SENTINEL_PORT": "7000",
                "REDIS_SENTINEL_PORT_1": "7001",
                "REDIS_SENTINEL_PORT_2": "7002",
                "REDIS_SENTINEL_PORT_3": "7003",
            },
            [("a", 7001), ("b", 5), ("::1", 7003), ("::2", 6), ("::3", 7000)],
        ),
        (
            {
                "REDIS_SENTINELS": "a:1, b,",
                "REDIS_SENTINEL_PORT": "5",
                "REDIS_SENTINEL_HOST_1": "x",
            },
            [("a", 1), ("b", 5)],
        ),
        # what Kubernetes sets for a service named redis-sentinel
        ({"REDIS_SENTINEL_HOST_1": "a", "REDIS_SENTINEL_PORT": "tcp://10.0.0.1:5"}, [("a", 26379)]),
        ({"REDIS_SENTINEL_HOST_1": "a", "REDIS_SENTINEL_HOST_2": ""}, [("a", 26379)]),
    ],
)
def test_variables_name_the_sentinels(
    place: Place, variables: dict[str, str], expected: list[Any]
) -> None:
    place.environment(REDIS_MASTER_NAME="m", **variables)
    assert RedisSettings.from_env().sentinels == tuple(expected)


def test_a_port_of_the_environment_counts_for_hosts_of_the_file(place: Place) -> None:
    place.dotenv(SEED)
    place.environment(REDIS_SENTINEL_PORT="5")
    assert RedisSettings.from_env().sentinels == (("localhost", 5),)


def test_hosts_of_the_environment_replace_those_of_the_file(place: Place) -> None:
    place.dotenv(SEED)
    place.environment(REDIS_SENTINEL_HOST_2="other")
    assert RedisSettings.from_env().sentinels == (("other", 26379),)


TEXTS: dict[str, tuple[str, object]] = {
    "sentinels": ("a:1,b", (("a", 1), ("b", 26379))),
    "master_name": ("name", "name"),
    "username": ("user", "user"),
    "password": (SECRET, SecretStr(SECRET)),
    "password_file": (__file__, Path(__file__)),
    "db": ("3", 3),
    "tls": ("true", True),
    "sentinel_username": ("user", "user"),
    "sentinel_password": (SECRET, SecretStr(SECRET)),
    "sentinel_password_file": (__file__, Path(__file__)),
    "sentinel_tls": ("no", False),
    "socket_timeout": ("1.5", 1.5),
    "socket_connect_timeout": ("1.5", 1.5),
    "max_connections": ("7", 7),
    "max_connection_age": ("3600", 3600.0),
    "command_timeout": ("3", 3.0),
    "decode_responses": ("false", False),
    "address_map": ("a:1=b:2", {("a", 1): ("b", 2)}),
    "read_from": ("replica_preferred", "replica_preferred"),
    "max_replica_lag": ("0.5", 0.5),
    "early_promotion": ("0", False),
    "durability": ("all", "all"),
    "durability_timeout": ("0.25", 0.25),
    "near_cache": ("on", True),
    "lanes": ("4", 4),
    "max_waiting": ("10", 10),
    "slow_threshold": ("off", None),
    "client_name": ("web-1", "web-1"),
    "sentinel_timeout": ("1", 1.0),
    "poll_interval": ("1", 1.0),
    "quiet_after": ("1", 1.0),
    "breaker_failures": ("9", 9),
    "breaker_open_for": ("9", 9.0),
    "breaker_probes": ("9", 9),
    "retry_budget": ("0", 0),
}


def test_the_table_of_texts_has_every_field() -> None:
    assert TEXTS.keys() == RedisSettings.model_fields.keys()


@pytest.mark.parametrize("field", TEXTS)
def test_every_field_comes_from_its_variable_and_from_the_url(place: Place, field: str) -> None:
    text, value = TEXTS[field]
    if field not in {"sentinels", "master_name"}:
        url = f"redis+sentinel://h/m?{field}={text}"
        assert getattr(RedisSettings.from_url(url), field) == value
    place.environment(REDIS_SENTINELS="h", REDIS_MASTER_NAME="m")
    place.environment(**{f"REDIS_{field.upper()}": text})
    assert getattr(RedisSettings.from_env(), field) == value


@pytest.mark.parametrize("field", sorted(TEXTS.keys() - {"sentinels", "master_name"}))
def test_an_empty_variable_is_not_set(place: Place, field: str) -> None:
    place.environment(**{f"REDIS_{field.upper()}": ""})
    place.dotenv(f"REDIS_{field.upper()}=\nREDIS_SENTINEL_HOST_1=h\nREDIS_MASTER_NAME=m")
    assert RedisSettings.from_env() == RedisSettings.isolated(sentinels=["h"], master_name="m")


@pytest.mark.parametrize("field", sorted(TEXTS.keys() - {"sentinels", "master_name"}))
def test_an_empty_parameter_is_not_set(field: str) -> None:
    made = RedisSettings.from_url(f"redis+sentinel://h/m?{field}=&")
    assert made == RedisSettings.isolated(sentinels=["h"], master_name="m")


def test_variables_of_other_software_are_ignored(place: Place) -> None:
    others = ("PORT", "HOST", "TLS_PORT", "NEAR", "SENTINEL_HOST_X", "SENTINELS_PORT", "")
    place.environment(**{f"REDIS_{name}": "tcp://10.0.0.1:6379" for name in others})
    place.dotenv(REDIS_IMAGE="redis:7", OTHER="x")
    assert RedisSettings(**WHERE) == RedisSettings.isolated(**WHERE)


def test_a_wrong_variable_names_its_field(place: Place) -> None:
    place.environment(REDIS_MASTER_NAME="m", REDIS_SENTINEL_HOST_1="h:x", REDIS_DB="zero")
    with pytest.raises(ValidationError) as caught:
        RedisSettings.from_env()
    assert {each["loc"] for each in caught.value.errors()} == {("sentinels",), ("db",)}
    assert RedisSettings(**WHERE, db=0).db == 0  # a keyword outranks the wrong variable


@pytest.mark.parametrize(
    "make",
    [
        lambda: RedisSettings(sentinels=["h"]),
        lambda: RedisSettings.from_env(sentinels=["h"]),
        lambda: RedisSettings.isolated(sentinels=["h"]),
        lambda: RedisSettings.isolated(sentinels=["h"], master_name=" "),
    ],
)
def test_a_missing_master_name_is_named(make: Callable[[], RedisSettings]) -> None:
    message = refused(make)
    assert "master_name" in message
    assert "REDIS_MASTER_NAME" in message


def test_missing_sentinels_are_named(place: Place) -> None:
    place.environment(REDIS_MASTER_NAME="m")
    message = refused(RedisSettings.from_env)
    assert "sentinels" in message
    assert "REDIS_SENTINEL_HOST_1" in message


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "valkey"])
def test_the_url_of_a_single_server_is_left_to_other_software(place: Place, scheme: str) -> None:
    place.environment(REDIS_URL=f"{scheme}://u:{SECRET}@h:6379/0", REDIS_MASTER_NAME="m")
    message = refused(RedisSettings.from_env)
    assert "redis+sentinel://" in message
    assert "REDIS_URL" in message
    assert SECRET not in message
    made = RedisSettings(sentinels=["h"])
    assert (made.password, made.username) == (None, None)


@pytest.mark.parametrize(
    "url", [f"redis-sentinel://u:{SECRET}@h/m", SECRET, f"redis+sentinel://{SECRET}"]
)
def test_a_wrong_url_in_the_environment_names_the_variable(place: Place, url: str) -> None:
    place.environment(REDIS_URL=url)
    message = refused(lambda: RedisSettings(**WHERE))
    assert message.startswith("REDIS_URL: ")
    assert SECRET not in message


def test_a_password_and_its_file_are_refused_together(place: Place) -> None:
    file = place.directory / "secret"
    file.write_text(SECRET)
    for name in ("password", "sentinel_password"):
        both = {name: SECRET, f"{name}_file": file}
        told = refused(lambda: RedisSettings(**WHERE, **both))  # noqa: B023
        assert "not both" in told
        assert f"{name}_file" in told
        assert SECRET not in told


def test_a_file_that_is_not_there_is_refused(place: Place) -> None:
    told = refused(lambda: RedisSettings(**WHERE, password_file=place.directory / "none"))
    assert "password_file" in told
    assert "there is no file" in told


def test_a_file_of_a_higher_source_takes_the_place_of_a_password_and_the_reverse(
    place: Place,
) -> None:
    file = place.directory / "secret"
    file.write_text("other")
    place.dotenv(REDIS_PASSWORD=SECRET, REDIS_SENTINEL_PASSWORD_FILE=str(file))
    place.environment(REDIS_PASSWORD_FILE=str(file), REDIS_SENTINEL_PASSWORD=SECRET)
    made = RedisSettings(**WHERE)
    assert (made.password, made.password_file) == (None, file)
    assert (made.sentinel_password, made.sentinel_password_file) == (SecretStr(SECRET), None)
    made = RedisSettings(**WHERE, password=SECRET)
    assert (made.password, made.password_file) == (SecretStr(SECRET), None)
    made = RedisSettings.from_url("redis+sentinel://u:p@h/m")
    assert (made.password, made.password_file) == (SecretStr("p"), None)


def test_a_home_directory_is_found(place: Place) -> None:
    (place.directory / "secret").write_text(SECRET)
    place.environment(HOME=str(place.directory))
    assert RedisSettings(**WHERE, password_file="~/secret").password_file == (
        place.directory / "secret"
    )


def test_a_file_is_the_same_one_after_a_change_of_the_directory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A daemon changes to / before its first reconnect.
    """
    monkeypatch.chdir(place.directory)
    Path("secret").write_text(SECRET)
    made = RedisSettings(**WHERE, password_file="secret")
    monkeypatch.chdir("/")
    assert made.password_file is not None
    assert made.password_file.read_text() == SECRET
