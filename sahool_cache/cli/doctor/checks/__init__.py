"""
Every check, in the order in which they are told: a new one is added to the table of its file, and
to docs/operations/doctor.md.
"""

from __future__ import annotations

from sahool_cache.cli.doctor.checks import (
    addresses,
    agreement,
    credentials,
    limits,
    memory,
    persistence,
    replication,
    sentinels,
    servers,
)

__all__ = ["CHECKS"]

CHECKS = (
    *sentinels.CHECKS,
    *agreement.CHECKS,
    *addresses.CHECKS,
    *credentials.CHECKS,
    *replication.CHECKS,
    *persistence.CHECKS,
    *memory.CHECKS,
    *limits.CHECKS,
    *servers.CHECKS,
)
