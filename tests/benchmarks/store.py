"""
The file with everything that was measured: one part per kind of run, each with its own facts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks.machine import facts
from tests.benchmarks.model import Result

__all__ = ["load", "others_of", "results_of", "save"]

_FILE = "results.json"


def save(folder: Path, part: str, results: Iterable[Result], **more: Any) -> None:
    """
    Puts a part into the folder's file in place of what it was; the other parts stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = load(folder)
    parts[part] = {"machine": facts(), "results": msgspec.to_builtins(list(results)), **more}
    (folder / _FILE).write_text(json.dumps(parts, indent=1) + "\n")


def load(folder: Path) -> dict[str, Any]:
    """
    All parts; none if nothing was measured yet.
    """
    try:
        parts: dict[str, Any] = json.loads((folder / _FILE).read_text())
    except FileNotFoundError:
        return {}
    return parts


def results_of(part: Mapping[str, Any]) -> list[Result]:
    """
    The results in that part.
    """
    return msgspec.convert(part["results"], list[Result])


def others_of(parts: Mapping[str, Any], part: str, works: Collection[str]) -> list[Result]:
    """
    What that part has of other works than these; nothing where no works are named.
    """
    if not works or part not in parts:
        return []
    return [each for each in results_of(parts[part]) if each.cell.work not in works]
