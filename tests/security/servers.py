"""
Debian's Redis, where it is installed: it speaks TLS, and its ACLs are those of Redis 7.0.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["cannot_run", "program", "redis_server"]


def redis_server() -> str:
    """
    The path of redis-server; skips the test where it is missing, or fails it in CI.
    """
    return program("redis-server")


def program(name: str) -> str:
    """
    The path of that program; skips the test where it is missing, or fails it where
    ``SAHOOL_REQUIRE_REDIS=1`` forbids that.
    """
    return shutil.which(name) or cannot_run(f"there is no {name} on the PATH")


def cannot_run(reason: str) -> NoReturn:
    """
    Skips the test, or fails it in CI.
    """
    if os.environ.get("SAHOOL_REQUIRE_REDIS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
