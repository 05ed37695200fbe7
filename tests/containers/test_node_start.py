"""
How a node refuses to start: with one line that says why, and never without a password.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers.compose_group import COMPOSE
from tests.docker import IMAGE, docker

pytestmark = pytest.mark.container


def start(script: str, secrets: Path, **others: str) -> str:
    """
    What the node says when it is started as the compose file does it, and ends.
    """
    mounts = {COMPOSE / "redis": "/opt/redis", secrets: "/run/secrets"}
    options = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
    variables = {"REDIS_PASSWORD": "x", "MASTER_NAME": "m", "MASTER_HOST": "h"} | others
    options += [f"--env={name}={value}" for name, value in variables.items()]
    with pytest.raises(AssertionError) as raised:
        docker(
            *("run", "--rm", "--network=none", "--user=999", "--workdir=/data", *options),
            *(IMAGE, "sh", f"/opt/redis/{script}.sh"),
        )
    return str(raised.value)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


SCRIPTS = pytest.mark.parametrize("script", ["server", "sentinel"])


@SCRIPTS
def test_without_a_password_it_does_not_start(secrets: Path, script: str) -> None:
    said = start(script, secrets, REDIS_PASSWORD="")
    assert "no password" in said


@SCRIPTS
def test_a_secret_that_cannot_be_read_is_not_taken_for_none(secrets: Path, script: str) -> None:
    (secrets / "redis_app_password").write_text("x", encoding="utf-8")
    (secrets / "redis_app_password").chmod(0o600)
    said = start(script, secrets)
    assert "/run/secrets/redis_app_password: not readable for user 999" in said


@SCRIPTS
def test_a_default_user_is_on_or_off(secrets: Path, script: str) -> None:
    said = start(script, secrets, REDIS_DEFAULT_USER="maybe")
    assert "REDIS_DEFAULT_USER is on or off, not maybe" in said
