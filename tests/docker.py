"""
Docker, where there is one: what the container tests need of it, and its command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

IMAGE = os.environ.get("REDIS_IMAGE", "redis:8")
REQUIRED = os.environ.get("SAHOOL_REQUIRE_CONTAINERS") == "1"


def cannot_run(reason: str) -> NoReturn:
    """
    Skips the test, or fails it where ``SAHOOL_REQUIRE_CONTAINERS=1`` forbids that.
    """
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def missing() -> str | None:
    """
    What the container tests need and do not find, or None. They never pull an image.
    """
    if shutil.which("docker") is None:
        return "docker is not installed"
    if not _succeeds("docker", "info"):
        return "no Docker daemon answers"
    if not compose_commands():
        return "docker-compose is not installed"
    if not has_image(IMAGE):
        return f"there is no image {IMAGE}; REDIS_IMAGE names another (see compose/README.md)"
    return None


def has_image(name: str) -> bool:
    """
    Whether the daemon has it already; nothing is pulled.
    """
    return _succeeds("docker", "image", "inspect", name)


COMPOSE = (("docker-compose",), ("docker", "compose"))


@cache
def compose_commands() -> tuple[tuple[str, ...], ...]:
    """
    How Compose is called here: as a program of its own, as Docker's, or both, which may be two
    versions.
    """
    return tuple(command for command in COMPOSE if _succeeds(*command, "version"))


def compose_command() -> tuple[str, ...]:
    """
    One of these, where nothing else matters.
    """
    return compose_commands()[0]


def docker(*arguments: str) -> str:
    """
    What ``docker ...`` prints. Raises `AssertionError` with its errors when it fails.
    """
    return run("docker", *arguments)


def run(*command: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """
    What the command prints, likewise.
    """
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
