"""
Files that change in place: passwords and certificates.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["file_signature", "is_there"]


def file_signature(path: Path | None) -> tuple[int, ...] | None:
    """
    Returns what is another one when the file was written or replaced; None where there is none.
    """
    try:
        stat = path.stat() if path is not None else None
    except OSError:  # it is being replaced
        return None
    # A secret that Kubernetes mounts is a link, which leads to another file after a change.
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) if stat is not None else None


def is_there(path: Path | None) -> Path | None:
    """
    Returns the absolute path, `~` expanded; raises `ValueError` if there is no such file.
    """
    if path is None:
        return None
    try:
        path = path.expanduser().absolute()  # read again, perhaps from another directory
        found = path.is_file()
    except (OSError, RuntimeError):  # no right to look, a name too long, no such home
        found = False
    if not found:
        raise ValueError(f"there is no file {str(path)!r}")
    return path
