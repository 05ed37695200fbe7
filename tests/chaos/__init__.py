"""
The fault suite: every fault against every client, measured from outside. `make chaos` runs it.
"""

from __future__ import annotations
