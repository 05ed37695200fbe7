"""
The compose files as Compose reads them, whichever version of it is here, and what they promise.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.containers.compose_group import COMPOSE, FILE, TLS_FILE, copy_compose
from tests.docker import compose_commands, run

pytestmark = pytest.mark.container


def config(tmp_path: Path, *files: str, **variables: str) -> list[str]:
    """
    What ``docker-compose config`` prints, away from any `.env`, for each Compose that is here.
    """
    env = os.environ | variables
    named = [word for file in files for word in ("--file", str(COMPOSE / file))]
    return [
        run(*command, *named, "config", env=env, cwd=tmp_path) for command in compose_commands()
    ]


def images(text: str) -> list[str]:
    """
    The images of the servers and sentinels.
    """
    services = text.partition("\nservices:\n")[2]
    found = re.findall(r"^    image: (.*)$", services, re.MULTILINE)
    return [image for image in found if re.search("redis:|valkey:", image)]


@pytest.mark.parametrize("files", [(FILE,), (FILE, TLS_FILE)])
def test_only_the_password_has_to_be_set(tmp_path: Path, files: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="set it in the environment"):
        config(tmp_path, *files)
    for text in config(tmp_path, *files, REDIS_PASSWORD="x"):
        assert images(text) == ["redis:8"] * 6


def test_one_variable_names_the_image(tmp_path: Path) -> None:
    for text in config(tmp_path, FILE, REDIS_PASSWORD="x", REDIS_IMAGE="valkey/valkey:9"):
        assert images(text) == ["valkey/valkey:9"] * 6


def test_every_port_is_written_with_the_loopback_address() -> None:
    text = (COMPOSE / FILE).read_text(encoding="utf-8")
    ports = re.findall(r"^\s+ports: (.*)$", text, re.MULTILINE)
    assert len(ports) == text.count("ports:") >= 6
    for each in ports:
        assert re.fullmatch(r'\["127\.0\.0\.1:\d+:\d+"\]', each)


def test_without_a_password_make_up_says_so_in_one_line(tmp_path: Path) -> None:
    copy_compose(tmp_path / "compose")
    script = str(tmp_path / "compose" / "group.sh")
    with pytest.raises(AssertionError) as raised:
        run(script, "up")
    message = str(raised.value)
    assert message.count("\n") == 1
    assert message.startswith(f"{script} up: REDIS_PASSWORD is not set: ")


def test_make_up_does_not_call_a_group_healthy_that_it_cannot_ask(tmp_path: Path) -> None:
    copy_compose(tmp_path / "compose")
    started = tmp_path / "docker-compose"  # one that did its work before the daemon went away
    started.write_text("#!/bin/sh\necho 0123456789ab\n", encoding="utf-8")
    started.chmod(0o755)
    env = os.environ | {
        "DOCKER_HOST": f"unix://{tmp_path}/gone.sock",
        "DOCKER_CONFIG": str(tmp_path),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REDIS_PASSWORD": "x",
    }
    with pytest.raises(AssertionError, match="Cannot connect to the Docker daemon"):
        run(str(tmp_path / "compose" / "group.sh"), "up", env=env)
