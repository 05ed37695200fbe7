"""
Readable keys: ``{user_id}`` and ``{user.id}`` in a text stand for arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote

from sahool_cache.recipes.caching.canonical import LONGEST, canonical, digest

__all__ = ["Template"]

_FIELD = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_LIKE_A_NUMBER = re.compile(r"[-\d]")
_SEPARATES = re.compile(r"[^\w.~@+%(),=-]")
"""What stands in no value, and so tells two of them apart."""


class Template:
    """
    A text with arguments in it. Values are escaped: no two calls whose arguments differ in what the
    text shows have the same key. Raises `ValueError` for what it cannot read.
    """

    def __init__(self, text: str, parameters: Collection[str]) -> None:
        self._parts: list[tuple[str, list[str]]] = []
        self.names: set[str] = set()
        for literal, field, spec, conversion in Formatter().parse(text):
            if field is None:
                self._parts.append((literal, []))
                continue
            if spec or conversion or not _FIELD.fullmatch(field):
                raise ValueError(
                    f"key: {{{field}}} must be the name of a parameter, or parts of it"
                )
            if self.names and not _SEPARATES.search(literal):
                raise ValueError(f"key: put a colon, or the like, before {{{field}}}")
            name, *attributes = field.split(".")
            if name not in parameters:
                raise ValueError(f"key: there is no parameter {name!r}")
            self._parts.append((literal, [name, *attributes]))
            self.names.add(name)

    def render(self, arguments: Mapping[str, Any]) -> str:
        """
        The text for these arguments. Raises `Unkeyable`.
        """
        parts = []
        for literal, path in self._parts:
            parts.append(literal)
            if path:
                value = arguments[path[0]]
                for attribute in path[1:]:
                    value = getattr(value, attribute)
                parts.append(_shown(value))
        return "".join(parts)


def _shown(value: Any) -> str:
    """
    What stands for it, or the digest of that where it is long, marked by ``%h``.
    """
    shown = _whole(value)
    return shown if len(shown) <= LONGEST else f"%h{digest(canonical(value))}"


def _whole(value: Any) -> str:
    """
    A text as it is, escaped; a number by its digits; all else by its canonical form, marked by a
    ``%`` before a small letter, which no escape has.
    """
    if value.__class__ is int and value.bit_length() < 128:
        return str(value)
    if value.__class__ is str:
        shown = _escaped(value, "@+")
        if _LIKE_A_NUMBER.match(shown):  # not to be taken for a number
            shown = f"%{ord(shown[0]):02X}{shown[1:]}"
        return shown
    form = canonical(value)
    return f"%{form[0]}{_escaped(form[1:], '().,=')}"


def _escaped(text: str, safe: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe=safe)
