from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from redis.credentials import CredentialProvider

from sahool_cache.connection.login import THREADS, CredentialsMissing, Login
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


async def test_a_provider_that_blocks_for_ever_leaves_the_threads_of_the_loop_alone() -> None:
    release = Event()

    class Hung(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            release.wait()
            return "u", "p"

    login = Login(provider=Hung(), within=0.002)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    try:
        for _ in range(2 * THREADS):
            with pytest.raises(CredentialsMissing, match="nothing within"):
                await login.get_credentials_async()
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(int) == 0
    finally:
        release.set()


async def test_who_asks_a_provider_can_be_cancelled() -> None:
    asked = asyncio.Event()

    async def provider() -> None:
        asked.set()
        await asyncio.Event().wait()

    asking = asyncio.create_task(Login(provider=provider).get_credentials_async())
    await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_nothing_shown_of_a_login_has_a_secret() -> None:
    login = Login(username="u", password="hunter2")
    assert "hunter2" not in repr(login) + str(login) + login.hint
