"""
Settings that are on, off, or on with details.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

__all__ = ["as_layer", "read_switch"]

_BOOL = TypeAdapter(bool)


def read_switch(value: object, details: str) -> bool:
    """
    Returns what a bool or a word stands for; raises `ValueError` that names the details' type.
    """
    try:
        return _BOOL.validate_python(value)
    except ValidationError:
        raise ValueError(f"write true, false, or {details}") from None


def as_layer(value: object) -> object:
    """
    Returns "on" as an empty dict, which takes its details from the sources of lower rank.
    """
    try:
        on = read_switch(value, "")
    except ValueError:
        return value  # details, or an error that the field will name
    return {} if on else False
