"""
The canonical form of a value: equal texts for equal values, and for no others.

Every value carries a tag of its type, every text its length, every container its count, so that
`1`, `"1"`, `1.0` and `True` differ, and so do ``f("a,b")`` and ``f("a", "b")``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from hashlib import blake2b
from pathlib import PurePath
from typing import Any
from uuid import UUID

__all__ = ["LONGEST", "Unkeyable", "canonical", "digest", "shortened"]

LONGEST = 200
"""Characters from which on a form is replaced by its digest: keys live in the server's memory."""


class Unkeyable(TypeError):
    """
    A value of a type that says nothing about what identifies it.
    """


def canonical(value: Any) -> str:
    """
    The form of a value. Raises `Unkeyable`.
    """
    known = _FORMS.get(value.__class__)
    if known is not None:
        return known(value)
    if hasattr(value.__class__, "__cache_key__") and not isinstance(value, type):
        own = value.__cache_key__
        return f"k{_name(value.__class__)}({canonical(own() if callable(own) else own)})"
    if isinstance(value, Flag):  # a combination has no name of its own
        return f"e{_name(value.__class__)}.{value.value}"
    if isinstance(value, Enum):
        return f"e{_name(value.__class__)}.{_text(value.name)}"
    if isinstance(value, PurePath):
        return f"p{_text(str(value))}"
    if isinstance(value, type):
        return f"c{_class(value)}"
    fields = _fields(value)
    if fields is None:
        raise Unkeyable(_name(value.__class__))
    return f"r{_name(value.__class__)}{_several(fields)}"


def shortened(form: str) -> str:
    """
    The form itself, or its digest where it is long or holds what cannot be shown.
    """
    if len(form) <= LONGEST and form.isprintable():
        return form
    return f"#{digest(form)}"


def digest(form: str) -> str:
    """
    32 digits that stand for it.
    """
    return blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _text(value: str) -> str:
    if ":" in value or "%" in value:  # a colon separates the parts of a key
        return f"{len(value)}.{value.replace('%', '%25').replace(':', '%3A')}"
    return f"{len(value)}.{value}"


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class(kind: type) -> str:
    if "<locals>" in kind.__qualname__:  # there may be many of that name
        raise Unkeyable(f"the class {_name(kind)}, which a function has made")
    return _name(kind)


def _several(values: Iterable[Any]) -> str:
    forms = [canonical(each) for each in values]
    return f"{len(forms)}({','.join(forms)})"


def _unordered(values: Iterable[Any]) -> str:
    forms = sorted(canonical(each) for each in values)
    return f"{len(forms)}({','.join(forms)})"


def _mapping(value: dict[Any, Any]) -> str:
    forms = sorted(f"{canonical(key)}={canonical(each)}" for key, each in value.items())
    return f"{len(forms)}({','.join(forms)})"


def _integer(value: int) -> str:
    return f"i{value}" if value.bit_length() < 128 else f"x{value:x}"


def _fields(value: Any) -> Iterable[Any] | None:
    """
    What a record holds: a dataclass, a named tuple, a pydantic or msgspec model. None where it may
    hold more, as its class only inherits the fields.
    """
    kind = value.__class__
    if dataclasses.is_dataclass(kind):
        if "__dataclass_fields__" not in vars(kind):
            return None
        return [getattr(value, field.name) for field in dataclasses.fields(kind)]
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return None if getattr(value, "__dict__", None) else tuple(value)
    names = getattr(kind, "__struct_fields__", getattr(kind, "__pydantic_fields__", None))
    if names is None:
        return None
    beside = (getattr(value, f"__pydantic_{each}__", None) for each in ("extra", "private"))
    return [*(getattr(value, name) for name in names), *(each for each in beside if each)]


def _moment(value: datetime | time) -> str:
    """
    With the name of its zone, of which there may be many with the same offset then.
    """
    zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None) or ""
    return f"a{_text(value.isoformat())}{value.fold}{zone and _text(zone)}"


_FORMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "n",
    bool: lambda value: f"b{value:d}",
    int: _integer,
    float: lambda value: f"f{value!r}",
    complex: lambda value: f"j{value!r}",
    str: lambda value: f"s{_text(value)}",
    bytes: lambda value: f"y{value.hex()}",
    tuple: lambda value: f"t{_several(value)}",
    list: lambda value: f"l{_several(value)}",
    set: lambda value: f"z{_unordered(value)}",
    frozenset: lambda value: f"z{_unordered(value)}",
    dict: lambda value: f"d{_mapping(value)}",
    datetime: _moment,
    date: lambda value: f"a{value.isoformat()}",
    time: _moment,
    timedelta: lambda value: f"a{value.days}d{value.seconds}s{value.microseconds}",
    UUID: lambda value: f"u{value.hex}",
    Decimal: lambda value: f"m{value}",
}
