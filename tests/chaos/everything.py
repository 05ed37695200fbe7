"""
Every scene there is, in the order in which they are played and shown.
"""

from __future__ import annotations

from importlib import import_module

from tests.chaos.scenes import SCENES

__all__ = ["SCENES"]

for theme in ("master", "restart", "network", "replicas", "sentinels", "crowd"):
    import_module(f"tests.chaos.scenes_{theme}")
