"""
`compose/health-check.sh`, which asks whatever group the environment or the secrets name.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.containers.compose_group import copy_compose, on_the_host


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy_compose(tmp_path / "a checkout" / "compose")
    return tmp_path / "a checkout"


def keep(directory: Path, **passwords: str) -> None:
    directory.mkdir(exist_ok=True)
    for name, password in passwords.items():
        (directory / name).write_text(f"{password}\n", encoding="utf-8")


@pytest.mark.asyncio
async def test_passwords_in_files_are_found_where_the_group_has_them(
    checkout: Path, tmp_path: Path
) -> None:
    compose = checkout / "compose"
    keep(compose / "secrets", redis_password="filed", redis_sentinel_password="asked")
    keep(compose / "others", redis_password="filed", redis_sentinel_password="asked")
    keep(tmp_path / "wrong", redis_password="wrong", redis_sentinel_password="wrong")
    said = {"REDIS_PASSWORD": "filed", "REDIS_SENTINEL_PASSWORD": "asked"}
    cases: list[dict[str, str]] = [
        {},
        {"REDIS_SECRETS": "./others"},
        {"REDIS_SECRETS": str(compose / "others")},
        {"REDIS_SECRETS": str(tmp_path / "wrong"), **said},  # which wins, as any variable does
    ]
    settings = {"password": "filed", "sentinel_password": "asked"}
    async with EmbeddedSentinel(**settings, down_after=60) as group:
        sentinels = ",".join(str(node.address) for node in group.sentinels)
        for variables in cases:
            script = checkout / "compose" / "health-check.sh"
            done = await asyncio.to_thread(
                on_the_host, script, REDIS_SENTINELS=sentinels, **variables
            )
            assert (done.returncode, done.stderr) == (0, ""), variables
            assert done.stdout.startswith("✓ healthy\n")
