"""
Prometheus's programs, where they are installed.
"""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("SAHOOL_REQUIRE_PROMETHEUS") == "1"
PROGRAMS = ("prometheus", "promtool", "prometheus-redis-exporter")


def require(*programs: str) -> None:
    """
    Skips the test where one of them is missing, or fails it where
    ``SAHOOL_REQUIRE_PROMETHEUS=1`` forbids that.
    """
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)} (Debian's packages prometheus*)"
        if REQUIRED:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
