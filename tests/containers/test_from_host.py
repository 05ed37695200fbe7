"""
Whom `compose/from-host.sh` logs in as; no Docker is needed for it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.containers.compose_group import copy_compose
from tests.house import ROOT


def health_check(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    unset = dict.fromkeys([name for name in os.environ if name.startswith("REDIS_")], "")
    env = os.environ | unset | {"PATH": path, "PYTHONPATH": str(ROOT)} | variables
    script = checkout / "compose" / "health-check.sh"
    return subprocess.run(
        [script], cwd="/", env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.asyncio
async def test_a_login_that_is_given_is_not_replaced_by_the_administrators(tmp_path: Path) -> None:
    copy_compose(tmp_path / "a checkout" / "compose")
    (tmp_path / "password").write_text("filed\n", encoding="utf-8")
    async with EmbeddedSentinel(password="filed", down_after=60) as group:
        sentinels = ",".join(str(node.address) for node in group.sentinels)
        for variables in (
            {"REDIS_SENTINELS": sentinels, "REDIS_PASSWORD_FILE": str(tmp_path / "password")},
            {"REDIS_URL": f"redis+sentinel://:filed@{sentinels}/sahool-master"},
        ):
            done = await asyncio.to_thread(health_check, tmp_path / "a checkout", **variables)
            assert (done.returncode, done.stderr) == (0, ""), variables
