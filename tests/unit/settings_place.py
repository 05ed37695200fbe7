"""
Where the tests of settings take place: an empty directory, no ``REDIS_*`` variables.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WHERE: dict[str, Any] = {"sentinels": ["h1"], "master_name": "m"}
SECRET = "hunter2"


class Place:
    """
    An empty directory and an environment without ``REDIS_*`` variables.
    """

    def __init__(self, patch: pytest.MonkeyPatch, directory: Path) -> None:
        self._patch = patch
        self.directory = directory

    def environment(self, **variables: str) -> None:
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def dotenv(self, text: str = "", **variables: str) -> None:
        lines = [text, *(f"{name}='{value}'" for name, value in variables.items())]
        (self.directory / ".env").write_text("\n".join(lines), encoding="utf-8")


def empty_place(patch: pytest.MonkeyPatch, directory: Path) -> Place:
    """
    Goes to the directory, and hides the ``REDIS_*`` variables that the tests were started with.
    """
    for name in [name for name in os.environ if name.upper().startswith("REDIS_")]:
        patch.delenv(name)
    patch.chdir(directory)
    return Place(patch, directory)


def refused(make: Callable[[], object]) -> str:
    """
    Returns the message of the `ValueError` that is raised.
    """
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make()
    return str(caught.value)
