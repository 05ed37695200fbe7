"""
The scripts and timers of `compose/` as cron and systemd run them: no terminal, hardly a variable.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from getpass import getuser
from pathlib import Path

import pytest

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.house import ROOT
from tests.security.servers import cannot_run, program

COMPOSE = ROOT / "compose"
PAGE = ROOT / "docs" / "operations" / "backup.md"


@pytest.fixture
def checkout(calm_group: EmbeddedSentinel, tmp_path: Path) -> Path:
    """
    A checkout whose `.env` names the group, with this program in its `.venv`.
    """
    shutil.copytree(COMPOSE, tmp_path / "checkout" / "compose")
    ours = tmp_path / "checkout" / ".venv" / "bin" / "sahool-cache"
    ours.parent.mkdir(parents=True)
    ours.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m sahool_cache "$@"\n')
    ours.chmod(0o755)
    sentinels = ",".join(map(str, calm_group.settings.sentinels))
    (tmp_path / "checkout" / ".env").write_text(
        f"REDIS_SENTINELS={sentinels}\nREDIS_PASSWORD=s3cret\nREDIS_MASTER_NAME=sahool-master\n"
        'BACKUP_DIR="./every night"\n'
    )
    return tmp_path / "checkout"


def backups(checkout: Path) -> list[str]:
    return sorted(each.name for each in (checkout / "every night").glob("*.rdb"))


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        check=False,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )


def test_the_scripts_work_from_anywhere_with_hardly_an_environment(
    calm_group: EmbeddedSentinel, checkout: Path, tmp_path: Path
) -> None:
    async def write(value: str) -> None:
        async with RedisClient(calm_group.settings) as redis:
            await redis.set("key", value)
            await redis.wait(2, 10_000)

    async def read() -> str | None:
        async with RedisClient(calm_group.settings) as redis:
            return await redis.get("key")

    asyncio.run(write("then"))
    done = run(checkout / "compose" / "backup_redis.sh", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (name,) = backups(checkout)
    assert name in done.stdout

    asyncio.run(write("now"))
    restore = checkout / "compose" / "restore_redis.sh"
    done = run(restore, "--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    done = run(restore, f"checkout/every night/{name}", "--flush", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (64, ""), "nobody can be asked"
    assert asyncio.run(read()) == "now"
    done = run(restore, f"checkout/every night/{name}", "--flush", "--yes", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert asyncio.run(read()) == "then"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_documented_crontab_line_makes_a_backup(checkout: Path, tmp_path: Path) -> None:
    """
    The line of the page as it stands, but for its path and its time, which is the next minute,
    under a real cron daemon with a crontab of its own.
    """
    busybox = program("busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True)
    if "crond" not in applets.stdout.split():
        cannot_run("busybox has no crond here: that of Debian's busybox-static has")
    line = re.search(r"^0 2 \* \* \* /path/to/backup_redis\.sh$", PAGE.read_text(), re.MULTILINE)
    assert line, "docs/operations/backup.md has no crontab line"
    due = line[0].replace("0 2", "* *").replace("/path/to", str(checkout / "compose"))
    tables, log = tmp_path / "crontabs", tmp_path / "log"
    tables.mkdir()
    (tables / getuser()).write_text(f"{due}\n")
    daemon = subprocess.Popen(
        [busybox, "crond", "-f", "-c", str(tables), "-L", str(log), "-l", "0"],
        env={"PATH": "/usr/bin:/bin"},
    )
    try:
        deadline = time.monotonic() + 150
        while not backups(checkout):
            assert daemon.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
    finally:
        daemon.terminate()
        daemon.wait()


def test_the_systemd_units_are_right(checkout: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for name in ("sahool-backup.service", "sahool-backup.timer"):
        text = (COMPOSE / "timers" / name).read_text().replace("/opt/sahool", str(checkout))
        (tmp_path / name).write_text(text)
    done = run(analyze, "verify", *sorted(tmp_path.glob("sahool-backup.*")), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "sahool-backup.timer").write_text("[Timer]\nOnCalendar=never\n")
    done = run(analyze, "verify", tmp_path / "sahool-backup.timer", cwd=tmp_path)
    assert "Failed to parse calendar specification" in done.stderr, "it looks into the units"
