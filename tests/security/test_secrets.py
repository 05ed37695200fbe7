"""
A server quotes the arguments of a command that it does not know: no password is passed on.
"""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

import pytest

from sahool_cache import ConnectFailedError, RedisClient, RedisSettings
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.events import CredentialsRefused
from tests.integration.observe import Recorder, eventually

OLD, NEW = "Alnus-glutinosa-11", "Betula-pendula-12"


def without(command: str) -> EmbeddedSentinel:
    config = {"rename-command": f"{command} another"}
    return EmbeddedSentinel(replicas=0, sentinels=1, quorum=1, server_config=config)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(OLD)
    return file


async def log_in_by(file: Path, group: EmbeddedSentinel) -> RedisSettings:
    rules = ("reset", "on", f">{OLD}", f">{NEW}", "~*", "&*", "+@all")
    await group.command(group.master, "ACL", "SETUSER", "application", *rules)
    return group.settings.model_copy(update={"username": "application", "password_file": file})


@pytest.mark.asyncio
async def test_a_refused_renewal_does_not_tell_the_new_password(
    file: Path, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    async with without("AUTH") as group:
        settings = await log_in_by(file, group)
        async with RedisClient(settings, observers=[recorder]) as redis:
            assert await redis.set("k", "v")
            await asyncio.to_thread(file.write_text, NEW)
            assert await eventually(lambda: recorder.of(CredentialsRefused) != [])
            assert await redis.get("k") == "v"
    (told,) = recorder.of(CredentialsRefused)
    assert told.why.startswith("unknown command 'AUTH'; ")
    assert NEW not in caplog.text


@pytest.mark.asyncio
async def test_no_traceback_of_a_refused_greeting_has_the_password(file: Path) -> None:
    async with without("HELLO") as group:
        settings = await log_in_by(file, group)
        async with RedisClient(settings) as redis:
            with pytest.raises(ConnectFailedError, match="unknown command 'HELLO'") as caught:
                await redis.get("k")
    assert OLD not in "".join(traceback.format_exception(caught.value))
