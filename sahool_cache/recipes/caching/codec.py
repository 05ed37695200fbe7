"""
Results to JSON and back, as the function's annotation says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter

__all__ = ["Codec", "Later"]


@dataclass(frozen=True, slots=True)
class Later:
    """
    Stands for a type that is found when it is first needed: an annotation may speak of what is
    defined after it.
    """

    find: Callable[[], Any]


class Codec:
    """
    Encodes and decodes results of a type: by msgspec, and by pydantic where one of its models is
    part of it. `Any` gives what JSON has: dict, list, str, numbers, bool and None.

    Raises `TypeError` for a type that neither knows, if it is `Later` at the first use.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._ways: tuple[Callable[[Any], bytes], Callable[[Any], Any]] | None = None
        if not isinstance(kind, Later):
            self.ways()

    def ways(self) -> tuple[Callable[[Any], bytes], Callable[[Any], Any]]:
        """
        How it encodes, and how it decodes.
        """
        if self._ways is not None:
            return self._ways
        kind = self._kind.find() if isinstance(self._kind, Later) else self._kind
        if _is_foreign(kind):
            adapter = TypeAdapter(kind)
            self._ways = (
                lambda value: adapter.dump_json(value, warnings=False),
                lambda text: adapter.validate_json(bytes(text)),
            )
        else:
            self._ways = (
                msgspec.json.Encoder(enc_hook=_plain).encode,
                msgspec.json.Decoder(Any if kind is object else kind).decode,
            )
        return self._ways

    def encode(self, value: Any) -> bytes:
        """
        The value as JSON. Raises `TypeError`, `ValueError` or what a type raises of its own for
        what has no form there.
        """
        text = (self._ways or self.ways())[0](value)
        if b"null" in text and not _is_finite(msgspec.to_builtins(value, enc_hook=_parts)):
            raise ValueError("NaN and infinity have no form in JSON")
        return text

    def decode(self, text: bytes | msgspec.Raw) -> Any:
        """
        The value again; None for null, whatever the type. Raises `ValueError` for what is not of
        this type.
        """
        decode = (self._ways or self.ways())[1]
        try:
            return decode(text)
        except Exception as error:  # a type may refuse it in its own way
            if bytes(text) == b"null":
                return None
            if isinstance(error, ValueError):
                raise
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} has no form in JSON")


def _parts(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else None


def _is_finite(value: Any) -> bool:
    """
    Whether all of its numbers are; JSON has null for others.
    """
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or isfinite(value)


def _is_foreign(kind: Any) -> bool:
    """
    Whether a type that msgspec leaves to others is part of it.
    """
    try:
        return kind is not object and _has_foreign(msgspec.inspect.type_info(kind), set())
    except TypeError:  # a type that msgspec has no word for
        return True


def _has_foreign(info: Any, seen: set[int]) -> bool:
    if isinstance(info, msgspec.inspect.CustomType):
        return True
    if isinstance(info, tuple | list):
        return any(_has_foreign(each, seen) for each in info)
    if not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) or id(info) in seen:
        return False
    seen.add(id(info))
    return any(_has_foreign(getattr(info, name), seen) for name in info.__struct_fields__)
