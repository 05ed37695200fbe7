"""
Prometheus's programs, where they are installed: on Debian by its packages.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("SAHOOL_REQUIRE_MONITORING") == "1"
PROGRAMS = ("prometheus", "promtool", "prometheus-redis-exporter")


def cannot_run(reason: str) -> NoReturn:
    """
    Skips the test, or fails it where ``SAHOOL_REQUIRE_MONITORING=1`` forbids that.
    """
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def missing() -> str | None:
    """
    What the monitoring tests need and do not find, or None.
    """
    absent = [each for each in PROGRAMS if shutil.which(each) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def path(program: str) -> str:
    """
    Where that program is.
    """
    found = shutil.which(program)
    assert found is not None
    return found
