"""
What the tests of this folder have in common.
"""

from __future__ import annotations

from tests.integration.conftest import recorder

__all__ = ["recorder"]
