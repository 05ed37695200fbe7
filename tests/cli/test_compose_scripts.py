"""
The scripts of `compose/` before they come to Docker: the checkout that they work in, and what they
read in its `.env`, the same as Compose and the client do.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.house import ROOT


def said(directory: Path, **variables: str) -> str:
    script = f'. "{ROOT}/compose/settings.sh"; _said NAME || exit; printf "%s" "$value"'
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        capture_output=True,
        check=False,
        cwd=directory,
        env={"PATH": "/usr/bin:/bin"} | variables,
        text=True,
        timeout=10,
    )
    assert done.stderr == ""
    assert (done.returncode == 0) == bool(done.stdout)
    return done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "NAME=10.77.3",
        'NAME="10.77.3"',
        "NAME='10.77.3'  # the office has the other one",
        "NAME=10.77.3 # the office has the other one",
        "export NAME=10.77.3",
        " NAME = 10.77.3 ",
        "NAME=10.77.3\r",
        'NAME=it\'s-"quoted"#1',
        'NAME="it\'s"',
        "NAME=",
        "#NAME=no",
        "OTHER_NAME=no",
        "NAME=first\nNAME=last",
    ],
)
def test_a_line_of_the_file_means_what_it_means_to_the_client(tmp_path: Path, line: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(f"BEFORE=1\n{line}\nAFTER=1\n".encode())
    assert said(tmp_path) == (dotenv_values(file).get("NAME") or "")


def test_the_environment_wins_and_no_file_is_needed(tmp_path: Path) -> None:
    assert said(tmp_path) == ""
    assert said(tmp_path, NAME="a 'b'") == "a 'b'"
    (tmp_path / ".env").write_text("NAME=file\n")
    assert said(tmp_path, NAME="here") == "here"
    assert said(tmp_path, NAME="") == "file"


def test_a_script_finds_its_own_checkout_whatever_cd_is_told(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name / "compose").mkdir(parents=True)
        (tmp_path / name / "compose" / "settings.sh").touch()
    done = subprocess.run(
        ["/bin/sh", "-c", f". {ROOT}/compose/from-host.sh; pwd", "compose/any.sh"],
        capture_output=True,
        check=True,
        cwd=tmp_path / "here",
        env={"PATH": "/usr/bin:/bin", "CDPATH": str(tmp_path / "there")},
        text=True,
        timeout=10,
    )
    assert done.stdout == f"{tmp_path / 'here'}\n"


@pytest.mark.parametrize(
    ("lines", "secrets", "login"),
    [
        ("REDIS_PASSWORD=a", {}, "::"),  # the client reads it itself
        ("REDIS_PASSWORD=a", {"redis_password": "b"}, "sahool-admin:b:b"),
        ("REDIS_PASSWORD=a", {"redis_sentinel_password": "b"}, "sahool-admin:a:a"),
        ("REDIS_PASSWORD=a\nREDIS_DEFAULT_USER='off'", {}, "sahool-admin:a:a"),
        ("REDIS_ADMIN_PASSWORD=a", {"redis_password": "b"}, "sahool-admin:a:a"),
        ("", {"redis_password": "b", "redis_admin_password": "c"}, "sahool-admin:c:c"),
        ("REDIS_USERNAME=sahool-app\nREDIS_PASSWORD=a", {"redis_password": "b"}, "::"),
    ],
)
def test_the_login_is_the_one_that_the_servers_find(
    tmp_path: Path, lines: str, secrets: dict[str, str], login: str
) -> None:
    shutil.copytree(
        ROOT / "compose", tmp_path / "compose", ignore=shutil.ignore_patterns("redis_*password")
    )
    (tmp_path / ".env").write_text(lines)
    for name, password in secrets.items():
        (tmp_path / "compose" / "secrets" / name).write_text(f"{password}\n")
    program = tmp_path / ".venv" / "bin" / "sahool-cache"
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\necho "${REDIS_USERNAME:-}:${REDIS_PASSWORD:-}:${REDIS_SENTINEL_PASSWORD:-}"\n'
    )
    program.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "compose" / "health-check.sh"],
        capture_output=True,
        check=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        text=True,
        timeout=10,
    )
    assert (done.stdout, done.stderr) == (f"{login}\n", "")


@pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock here")
def test_no_second_rolling_upgrade_begins_while_one_is_under_way(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "compose", tmp_path / "compose")
    script = tmp_path / "compose" / "rolling-upgrade.sh"
    with script.open() as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        done = subprocess.run(
            [script, "--yes"],
            capture_output=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "REDIS_IMAGE": "sahool.invalid/none:1"},
            text=True,
            timeout=10,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Another rolling upgrade is under way.\n"
