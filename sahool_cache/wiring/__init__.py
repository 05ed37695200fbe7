"""
Settings to the assembled chain: the only room that knows every other.
"""

from __future__ import annotations

from sahool_cache.wiring.chain import Chain
from sahool_cache.wiring.options import CallOptions

__all__ = ["CallOptions", "Chain"]
