"""
The Lua files of this package, and how they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from sahool_cache.view import View

__all__ = ["LuaScript"]


class LuaScript:
    """
    The script in ``lua/<name>.lua``; its contract stands at the top of that file.
    """

    def __init__(self, name: str) -> None:
        path = files("sahool_cache.recipes").joinpath("lua", f"{name}.lua")
        self.text = path.read_text("utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, view: View, keys: Sequence[str], args: Sequence[str | bytes | int | float]
    ) -> Any:
        """
        Its reply; one round trip, two on a server that meets it for the first time.

        Raises what `execute_command` does. Repeated only where the view's `retry` says so.
        """
        try:
            return await view.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:  # nothing ran; EVAL cannot meet a server that lost it in between
            return await view.execute_command("EVAL", self.text, len(keys), *keys, *args)
