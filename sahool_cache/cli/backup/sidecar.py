"""
The JSON file beside a backup, which says what the backup is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

__all__ = ["SUFFIX", "Sidecar", "read_sidecar", "sidecar_path"]

SUFFIX = ".rdb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """
    Whose data, of when, from where, and how to tell that the file is still the same.

    `replid` and `offset` are the place in the replication stream up to which all writes are in it.
    `keys` and `databases` (keys by number) are counted in the file, None where no tool counted.
    """

    master_name: str
    taken: datetime
    server: str
    role: str
    version: str
    rdb_version: str
    epoch: int
    replid: str
    offset: int
    bytes: int
    sha256: str
    checked_by: str
    keys: int | None = None
    databases: dict[str, int] | None = None


def sidecar_path(backup: Path) -> Path:
    """
    Where a backup's sidecar is.
    """
    return backup.with_name(f"{backup.name}.json")


def read_sidecar(backup: Path) -> Sidecar | None:
    """
    What a backup's sidecar says; None where there is none that can be read.
    """
    try:
        return msgspec.json.decode(sidecar_path(backup).read_bytes(), type=Sidecar)
    except (OSError, msgspec.DecodeError):
        return None
