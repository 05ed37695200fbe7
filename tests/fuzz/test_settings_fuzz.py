"""
Any environment, any ``.env`` and any URL give settings or a `ValueError`, and show no secret.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sahool_cache.settings import RedisSettings
from sahool_cache.settings.names import flat_names
from tests.fuzz.garbage import HOSTS, PORTS
from tests.unit.settings_place import SECRET, empty_place

SECRETS = ("password", "sentinel_password", "tls_key_password", "sentinel_tls_key_password")
FLAT = tuple(f"REDIS_{name.upper()}" for name in flat_names(RedisSettings.model_fields))
NAMES = st.sampled_from(FLAT) | st.sampled_from(
    (
        *("REDIS_URL", "REDIS_SENTINEL_HOST_1", "REDIS_SENTINEL_HOST_02", "REDIS_SENTINEL_PORT"),
        *("REDIS_SENTINEL_PORT_1", "REDIS_SENTINEL_HOST_x", f"REDIS_SENTINEL_HOST_{'9' * 30}"),
        *("REDIS_SENTINEL_HOST_" + "9" * 5000, "REDIS_"),
    )
)
VALUES = st.one_of(
    st.sampled_from(
        (*HOSTS, *PORTS, "true", "off", "{}", '{"a:1": "b:2"}', "a:1=b:2", "[]", "nearest")
    ),
    st.sampled_from(
        ("redis+sentinel://h/m", "rediss+sentinel://h,h2/m/1", "redis://h", "0", "1.5")
    ),
    st.text(max_size=12),
).map(lambda text: text.replace("\0", "").encode("utf-8", "replace").decode())  # as an OS has it
SECRET_URL = st.tuples(VALUES, VALUES).map(
    lambda parts: f"redis+sentinel://u:{SECRET}@{quote(parts[0])}/m?lanes={parts[1]}"
)
VARIABLES = st.tuples(
    st.dictionaries(NAMES, VALUES, max_size=2),
    st.dictionaries(st.sampled_from(SECRETS[:2]), st.just(SECRET), max_size=2)
    | st.dictionaries(st.sampled_from(SECRETS), st.just(SECRET), max_size=2),
    st.none() | st.none() | SECRET_URL,
    st.sampled_from((True, True, False)),
)
BRIEFLY = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty_place(monkeypatch, tmp_path)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def shown_of(error: ValueError) -> str:
    """
    Everything that a log or a user may get to see.
    """
    shown = [str(error), repr(error), "".join(traceback.format_exception(error))]
    if isinstance(error, ValidationError):
        shown += [repr(error.errors()), error.json()]
    return "\n".join(shown)


def reading() -> tuple[str, str]:
    """
    What becomes of it, and all that is shown of that.
    """
    try:
        made = RedisSettings.from_env()
    except ValueError as error:
        return "refused", shown_of(error)
    assert made.sentinels
    assert made.master_name
    return "made", f"{made!r} {made} {made.model_dump_json()} {made.tls!r} {made.sentinel_tls!r}"


def variables_of(facts: tuple[dict[str, str], dict[str, str], str | None, bool]) -> dict[str, str]:
    some, secrets, url, whole = facts
    least = {"REDIS_SENTINEL_HOST_1": "h", "REDIS_MASTER_NAME": "m"} if whole else {}
    told = least | some | {f"REDIS_{name.upper()}": value for name, value in secrets.items()}
    return told | ({"REDIS_URL": url} if url is not None else {})


def test_any_environment_gives_settings_or_a_value_error_and_shows_no_secret() -> None:
    met: Counter[str] = Counter()

    @BRIEFLY
    @given(VARIABLES)
    def keep(facts: tuple[dict[str, str], dict[str, str], str | None, bool]) -> None:
        with environment(variables_of(facts)):
            end, shown = reading()
        met[end] += 1
        assert SECRET not in shown

    keep()
    assert min(met["made"], met["refused"]) > 30, met


def test_any_dotenv_gives_settings_or_a_value_error_and_shows_no_secret() -> None:
    met: Counter[str] = Counter()

    @BRIEFLY
    @given(VARIABLES, st.binary(max_size=8), st.booleans())
    def keep(
        facts: tuple[dict[str, str], dict[str, str], str | None, bool], more: bytes, is_sane: bool
    ) -> None:
        lines = [f"{name}={value}" for name, value in variables_of(facts).items()]
        data = "\n".join(lines).encode() + (b"" if is_sane else b"\n" + more)
        Path(".env").write_bytes(data)
        end, shown = reading()
        met[end] += 1
        assert SECRET not in shown

    keep()
    assert min(met["made"], met["refused"]) > 30, met


@BRIEFLY
@given(st.binary(max_size=12), st.sampled_from(SECRETS))
def test_a_variable_that_is_no_text_is_one_all_the_same(value: bytes, secret: str) -> None:
    surrogates = os.fsdecode(value.replace(b"\0", b""))
    url = f"redis+sentinel://u:{SECRET}{surrogates}@h/m?{secret}={SECRET}{surrogates}"
    for name, text in (("REDIS_MASTER_NAME", surrogates), ("REDIS_URL", url)):
        with environment({"REDIS_SENTINEL_HOST_1": "h", name: text}):
            try:
                shown = repr(RedisSettings.from_env())
            except ValueError as error:
                shown = shown_of(error)
            assert SECRET not in shown
