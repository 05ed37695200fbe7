"""
The group that the doctor has nothing to say about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.doctor.groups import well_kept

__all__ = ["kept_group"]


@pytest.fixture(scope="module")
def kept_group() -> Iterator[EmbeddedSentinel]:
    """
    One group in which nothing is wrong, for all tests of this file, which leave it so.
    """
    group = well_kept()
    asyncio.run(group.open())
    yield group
    asyncio.run(group.aclose())
