"""
Settings to the assembled chain: the only room that knows every other.
"""

from __future__ import annotations

from sahool_cache.wiring.chain import CallOptions, Chain

__all__ = ["CallOptions", "Chain"]
