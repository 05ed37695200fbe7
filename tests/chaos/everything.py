"""
Every scene there is, in the order in which they are played and shown.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import tests.chaos
from tests.chaos.scenes import SCENES

__all__ = ["SCENES"]

_ORDER = ("master", "restart", "network", "proxied", "replicas", "sentinels", "crowd")


def _place(theme: str) -> int:
    return _ORDER.index(theme) if theme in _ORDER else len(_ORDER)


_themes = [
    each.name.removeprefix("scenes_")
    for each in iter_modules(tests.chaos.__path__)
    if each.name.startswith("scenes_")
]
for _theme in sorted(_themes, key=_place):
    import_module(f"tests.chaos.scenes_{_theme}")
