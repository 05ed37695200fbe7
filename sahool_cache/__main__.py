"""
``python -m sahool_cache``, and the command ``sahool-cache``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs one command and returns its exit status; without `argv`, that of this process.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130


def _run(argv: Sequence[str] | None) -> int:
    try:
        from sahool_cache.cli import main as run  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError as missing:
        if missing.name not in {"rich", "typer"}:
            raise
        print(f"sahool-cache: {missing}", file=sys.stderr)  # noqa: T201
        return 64
    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
