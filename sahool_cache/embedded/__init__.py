"""
A real Sentinel group for tests and demonstrations, with faults on demand.
"""

from __future__ import annotations

from sahool_cache.embedded.config import Place
from sahool_cache.embedded.errors import EmbeddedError, ServerNotFoundError
from sahool_cache.embedded.group import EmbeddedSentinel
from sahool_cache.embedded.node import Node

__all__ = ["EmbeddedError", "EmbeddedSentinel", "Node", "Place", "ServerNotFoundError"]
