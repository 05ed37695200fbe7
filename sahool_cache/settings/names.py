"""
The names that settings have in a URL and in the environment, where nothing can be nested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from sahool_cache.settings.near_cache import NearCacheSettings
from sahool_cache.settings.switch import as_layer
from sahool_cache.settings.tls import TLSSettings

__all__ = ["GROUPS", "flat_names", "nest", "refuse_unknown"]

GROUPS: dict[str, type[BaseModel]] = {
    "tls": TLSSettings,
    "sentinel_tls": TLSSettings,
    "near_cache": NearCacheSettings,
}
"""Settings that have details: ``tls_ca_file``, ``near_cache_ttl``."""


def flat_names(fields: Iterable[str]) -> tuple[str, ...]:
    """
    Returns the fields, and each group's details as ``<group>_<field>``.
    """
    details = (f"{group}_{name}" for group, kind in GROUPS.items() for name in kind.model_fields)
    return (*fields, *details)


def nest(texts: Mapping[str, str]) -> dict[str, Any]:
    """
    Returns the texts by field: ``tls_ca_file`` becomes ``{"tls": {"ca_file": ...}}``.

    A detail of a group turns it on, unless the same source says that it is off.
    """
    nested: dict[str, Any] = dict(texts)
    for group, kind in GROUPS.items():
        details = {
            name: nested.pop(f"{group}_{name}")
            for name in kind.model_fields
            if f"{group}_{name}" in nested
        }
        switch = as_layer(nested.get(group, bool(details)))
        if group in nested or details:
            nested[group] = details if switch == {} else switch
    return nested


def refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """
    Raises `ValueError` for the first name that is not known, with the nearest one that is.
    """
    for name in names:
        if name not in known:
            [nearest] = get_close_matches(name, known, n=1, cutoff=0.0)
            raise ValueError(f"unknown setting {name!r}; the nearest one is {nearest!r}")
