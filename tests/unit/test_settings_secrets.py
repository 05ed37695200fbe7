from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sahool_cache.settings import RedisSettings, TLSSettings
from tests.unit.settings_place import SECRET, WHERE, Place, empty_place


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return empty_place(monkeypatch, tmp_path)


def leaky_settings() -> list[Callable[[], object]]:
    """
    Calls that fail in every stage of reading, each with the secret somewhere in their input.
    """
    secrets: dict[str, Any] = {
        **WHERE,
        "password": SECRET,
        "sentinel_password": SECRET,
    }
    return [
        lambda: RedisSettings(**secrets, lanes=0),
        lambda: RedisSettings(**secrets, lanes=50),
        lambda: RedisSettings(**secrets, unknown=SECRET),
        lambda: RedisSettings(**WHERE, password=[SECRET], db=-1),
        lambda: RedisSettings(**WHERE, sentinel_password={"x": SECRET}),
        lambda: RedisSettings(sentinels=[f"u:{SECRET}@h:1"], master_name="m"),
        lambda: RedisSettings(sentinels=[(f"u:{SECRET}@h", 1)], master_name="m"),
        lambda: RedisSettings(sentinels=f"redis://u:{SECRET}@h:1", master_name="m"),
        lambda: RedisSettings(**WHERE, address_map=f"u:{SECRET}@h:1"),
        lambda: RedisSettings(**WHERE, address_map={"a:1": f"u:{SECRET}@h:1"}),
        lambda: RedisSettings(**WHERE, address_map=f'{{"{SECRET}'),
        lambda: RedisSettings(**WHERE, tls={"key_password": SECRET, "verify": 5}),
        lambda: RedisSettings(**WHERE, tls={"key_password": [SECRET]}),
        lambda: TLSSettings(key_password=SECRET, ca_file="missing"),
        lambda: TLSSettings(key_password=SECRET, key_file=__file__),
        lambda: TLSSettings(key_password=SECRET, cert_file=__file__, key_file=__file__),
        lambda: RedisSettings(**secrets).model_copy(update={"password": [SECRET]}),
        lambda: RedisSettings.from_url(f"redis+sentinel://u:{SECRET}@h/m?lanes=0"),
        lambda: RedisSettings.from_url(f"redis+sentinel://u:{SECRET}@h:{SECRET}/m"),
    ]


@pytest.mark.parametrize("fail", leaky_settings())
def test_no_error_shows_a_secret(fail: Callable[[], object]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        fail()
    error = caught.value
    shown = [str(error), repr(error), "".join(traceback.format_exception(error))]
    if isinstance(error, ValidationError):
        shown += [repr(error.errors()), error.json()]
    assert not [text for text in shown if SECRET in text]


def test_nothing_shown_of_settings_has_a_secret() -> None:
    made = RedisSettings(
        **WHERE,
        password=SECRET,
        sentinel_password=SECRET,
        tls=TLSSettings(key_password=SECRET),
    )
    shown = [
        *(repr(made), str(made), f"{made}", made.model_dump_json(), repr(made.model_dump())),
        *(
            repr(made.tls),
            str(made.tls),
            repr(made.password),
            json.dumps(made.model_dump(mode="json")),
        ),
    ]
    assert not [text for text in shown if SECRET in text]
