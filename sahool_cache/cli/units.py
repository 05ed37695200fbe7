"""
Figures as people read them.
"""

from __future__ import annotations

__all__ = ["count", "size", "span"]

_SIZES = ("B", "K", "M", "G", "T", "P")
_SPANS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def size(octets: float) -> str:
    """
    Bytes as B, K, M, ...; each is 1024 of the one before.
    """
    step = 0
    while octets >= 999.5 and step < len(_SIZES) - 1:
        octets, step = octets / 1024, step + 1
    digits = 1 if step and octets < 9.95 else 0
    return f"{octets:.{digits}f}{_SIZES[step]}"


def span(seconds: float) -> str:
    """
    A duration in whole days, hours, minutes or seconds.
    """
    for length, name in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)}{name}"
    return "0s"


def count(number: float) -> str:
    """
    A number in at most five characters: thousands as k, millions as m.
    """
    if number < 10_000:
        return f"{number:.0f}"
    return f"{number / 1000:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}m"
