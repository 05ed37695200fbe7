"""
Every scene there is: importing this module puts them on the list.
"""

from __future__ import annotations

import importlib
import pkgutil

import tests.chaos
from tests.chaos.scenes import SCENES

__all__ = ["SCENES"]

for module in sorted(each.name for each in pkgutil.iter_modules(tests.chaos.__path__)):
    if module.startswith("scenes_"):
        importlib.import_module(f"tests.chaos.{module}")
