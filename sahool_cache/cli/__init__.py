"""
The command line ``sahool-cache``; needs the extra ``cli``.
"""

from __future__ import annotations

try:
    import rich  # noqa: F401 (asked for here, so that its absence is told once and well)
    import typer  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'the command line needs its extra: pip install "sahool-cache[cli]"', name=missing.name
    ) from missing

from sahool_cache.cli.app import main

__all__ = ["main"]
