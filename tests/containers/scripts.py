"""
A compose group and the scripts beside its file, in a checkout of their own: no `.env` has a say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers.compose_group import COMPOSE, ComposeGroup, compose_group
from tests.house import ROOT

__all__ = ["Scripts", "scripts"]


class Scripts:
    """
    Runs them as an operator does, against the group that they belong to.
    """

    def __init__(self, group: ComposeGroup) -> None:
        self.group = group

    def __call__(
        self, name: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        here = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [str(self.group.directory / name), *arguments],
            capture_output=True,
            check=False,
            env=self.group.environment | here | variables,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=280,
        )


@contextmanager
def scripts(checkout: Path) -> Iterator[Scripts]:
    """
    The group is up and healthy; nothing of it is left behind.
    """
    shutil.copytree(COMPOSE, checkout / "compose")
    group = ComposeGroup(directory=checkout / "compose")
    with compose_group(group):
        yield Scripts(group)
