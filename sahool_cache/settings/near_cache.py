"""
The near cache: how much of what is kept, and for how long.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sahool_cache.settings.fields import Count, Duration
from sahool_cache.settings.switch import read_switch

__all__ = ["NearCacheChoice", "NearCacheSettings", "near_cache_limits", "read_near_cache"]


def _prefixes(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


class NearCacheSettings(BaseModel):
    """
    What the near cache keeps. Frozen, and pickles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Count = Field(
        default=64 << 20, ge=1 << 16, description="Bytes that all kept replies may take."
    )
    ttl: Duration = Field(
        default=60.0, description="Seconds that a reply is kept at most; never longer than its key."
    )
    prefixes: Annotated[tuple[str, ...], BeforeValidator(_prefixes)] = Field(
        default=(), description="Beginnings of the keys that are kept; none means all keys."
    )
    max_staleness: Duration = Field(
        default=1.0,
        description="Seconds that a kept reply may be old at most, whatever breaks: a server that "
        "was not heard for so long is not trusted. Usually it is a few milliseconds.",
    )

    def __init__(self, **details: Any) -> None:
        # typed thus, since what is listed may be given as text
        super().__init__(**details)


NearCacheChoice = bool | NearCacheSettings


def read_near_cache(value: object) -> object:
    """
    Returns a bool or `NearCacheSettings` for what was written; raises `ValueError`.
    """
    if isinstance(value, dict):
        return NearCacheSettings(**value) if value else True
    if isinstance(value, NearCacheSettings):
        return value
    return read_switch(value, "NearCacheSettings")


def near_cache_limits(choice: NearCacheChoice) -> NearCacheSettings | None:
    """
    Returns what the near cache keeps; None where there is none.
    """
    if isinstance(choice, NearCacheSettings):
        return choice
    return NearCacheSettings() if choice else None
