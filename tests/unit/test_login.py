from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sahool_cache.connection.login import CredentialsMissing, Login
from sahool_cache.settings.files import file_signature

pytestmark = pytest.mark.asyncio


def put(file: Path, text: str | bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
    fresh.rename(file)


async def test_what_the_settings_say_is_given_as_it_is() -> None:
    assert await Login().get_credentials_async() == ()
    assert await Login(password="p").get_credentials_async() == ("p",)
    assert await Login(username="u", password="p").get_credentials_async() == ("u", "p")


async def test_a_file_is_read_each_time_without_its_last_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    put(file, " a b \r\n")
    login = Login(username="u", file=file)
    assert await login.get_credentials_async() == ("u", " a b ")
    login.look()
    assert login.version == 0
    put(file, "c")
    assert await login.get_credentials_async() == ("u", "c")
    assert login.version == 1, "others have logged in with the old one"
    login.look()
    assert login.version == 1
    put(file, "d")
    login.look()
    assert login.version == 2


async def test_a_file_that_a_mounted_link_leads_to_is_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        put(tmp_path / name / "password", name)
    link = tmp_path / "now"
    link.symlink_to("one")
    login = Login(file=link / "password")
    assert await login.get_credentials_async() == ("one",)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(link)
    login.look()
    assert login.version == 1
    assert await login.get_credentials_async() == ("two",)


@pytest.mark.parametrize("text", [None, "", "\n", b"\xff secret"])
async def test_a_file_without_a_password_names_the_setting_and_no_word_of_it(
    tmp_path: Path, text: str | bytes | None
) -> None:
    file = tmp_path / "password"
    if text is not None:
        put(file, text)
    login = Login(file=file, setting="sentinel_")
    with pytest.raises(CredentialsMissing, match="`sentinel_password_file`") as caught:
        await login.get_credentials_async()
    assert caught.value.__context__ is None
    assert "secret" not in str(caught.value)
    assert file_signature(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("given", "credentials"),
    [
        ("p", ("u", "p")),
        (("p",), ("u", "p")),
        (("", "p"), ("u", "p")),
        (["v", "p"], ("v", "p")),
    ],
)
async def test_a_provider_that_gives_no_name_has_that_of_the_settings(
    given: Any, credentials: tuple[str, ...]
) -> None:
    login = Login(username="u", provider=lambda: given)
    assert await login.get_credentials_async() == credentials


async def test_nothing_shown_of_a_login_has_a_secret() -> None:
    login = Login(username="u", password="hunter2")
    assert "hunter2" not in repr(login) + str(login) + login.hint
