"""
The types that settings are made of: what they accept, and what they refuse.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
)
from pydantic_core import PydanticCustomError, core_schema

from sahool_cache.address import Address

__all__ = [
    "SENTINEL_PORT",
    "AddressMap",
    "Addresses",
    "Announced",
    "ClientName",
    "Count",
    "Durability",
    "Durable",
    "Duration",
    "MasterName",
    "ReadFrom",
    "Secret",
    "SecretFile",
    "Threshold",
    "Username",
    "address",
    "durability",
    "has_port",
    "without_input",
]

SENTINEL_PORT = 26379
MOST = 1_000_000_000
"""What a count may be at most; more is a slip of the keyboard."""
ReadFrom = Literal["master", "replica", "replica_preferred", "nearest"]
Durability = int | Literal["all"]
_NO_SENTINELS = (
    "no sentinel is given: pass sentinels=, or a URL redis+sentinel://host:26379/master-name/0,"
    " or set REDIS_SENTINEL_HOST_1 (a REDIS_URL that begins with redis:// names one server,"
    " not a group, and is not read)"
)
_NO_MASTER = (
    "no master name is given: pass master_name=, or a URL redis+sentinel://host/master-name,"
    " or set REDIS_MASTER_NAME"
)


def address(value: object, default_port: int | None = None) -> Address:
    """
    Returns the address that a ``host:port`` text or a ``(host, port)`` pair stands for.

    Raises `ValueError` that quotes the text, unless a password may be in it.
    """
    match value:
        case str():
            refuse_credentials(value)
            host, port = Address.parse(value, default_port)
        case [str() as host, bool() | int() | str() as port]:
            refuse_credentials(host)
            host, port = host.removeprefix("[").removesuffix("]"), _port(port)
        case _:
            raise ValueError(f"an address is host:port or (host, port), not {type(value).__name__}")
    return Address(_host(host), port)


def has_port(text: str) -> bool:
    """
    True for ``host:port`` and ``[v6]:port``, false for a bare host or IPv6 address.
    """
    return "]:" in text if text.lstrip().startswith("[") else text.count(":") == 1


def refuse_credentials(text: str) -> None:
    """
    Raises `ValueError`, without quoting it, if the text holds more than a host and a port.
    """
    if "@" in text:
        raise ValueError("an address is host:port; user and password have settings of their own")


def _port(value: int | str) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise ValueError(f"{value!r} is no port between 1 and 65535")
    return value


def _host(text: str) -> str:
    if ":" in text:
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:
            raise ValueError(f"{text!r} is not host:port, nor an IPv6 address") from None
    if not re.fullmatch(r"[\w.-]+", text):
        raise ValueError(f"{text!r} is not the name or address of a host")
    return text


def _addresses(value: object) -> tuple[Address, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("write a list of host:port texts or (host, port) pairs")  # noqa: TRY004
    if not value:
        raise ValueError(_NO_SENTINELS)
    return tuple(dict.fromkeys(address(each, SENTINEL_PORT) for each in value))


class AddressMap(Mapping[Address, Address]):
    """
    Announced address -> reachable address; frozen, hashable, and equal to a dict of the same items.
    """

    __slots__ = ("_reachable",)

    def __init__(self, pairs: Iterable[tuple[object, object]] = ()) -> None:
        self._reachable: dict[Address, Address] = {}
        for announced, reachable in pairs:
            key, value = address(announced), address(reachable)
            if self._reachable.setdefault(key, value) != value:
                raise ValueError(f"{key} is mapped twice, to different addresses")

    @classmethod
    def parse(cls, value: object) -> AddressMap:
        """
        Reads a mapping, a JSON object, or ``announced=reachable,announced=reachable``.
        """
        match value:
            case AddressMap():
                return value
            case Mapping():
                return cls(value.items())
            case str() if value.lstrip().startswith("{"):
                return cls(_json_object(value).items())
            case str():
                return cls(_pair(part) for part in value.split(",") if part.strip())
        raise ValueError('write {"announced:port": "reachable:port"}')

    def __getitem__(self, announced: Address) -> Address:
        return self._reachable[announced]

    def __iter__(self) -> Iterator[Address]:
        return iter(self._reachable)

    def __len__(self) -> int:
        return len(self._reachable)

    def __hash__(self) -> int:
        return hash(frozenset(self._reachable.items()))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[tuple[Address, Address], ...]]]:
        return type(self), (tuple(self._reachable.items()),)

    def __repr__(self) -> str:
        return f"AddressMap({self.texts()})"

    def texts(self) -> dict[str, str]:
        """
        Returns the map as ``host:port`` texts.
        """
        return {str(key): str(value) for key, value in self._reachable.items()}


def _json_object(text: str) -> dict[str, Any]:
    try:
        loaded = json.loads(text)
    except ValueError:
        raise ValueError("not valid JSON") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return dict(loaded)


def _pair(text: str) -> tuple[str, str]:
    announced, equals, reachable = text.partition("=")
    if not equals:
        refuse_credentials(text)
        raise ValueError(f"{text!r} is not announced:port=reachable:port")
    return announced, reachable


def _seconds(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a number of seconds, not a bool")  # noqa: TRY004
    return value.total_seconds() if isinstance(value, timedelta) else value


def _seconds_or_off(value: object) -> object:
    off = isinstance(value, str) and value.strip().lower() in {"off", "none"}
    return None if off else _seconds(value)


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a whole number, not a bool")  # noqa: TRY004
    return value


def durability(value: object) -> Durability:
    """
    Returns the number of replicas, or "all". Raises `ValueError` for anything else.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text == "all":
            return "all"
        value = int(text) if text.isdecimal() else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError('durability is the number of replicas that must confirm, or "all"')
    return value


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError(_NO_MASTER)
    return name


def _unless_empty(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds half a character (a lone surrogate), which cannot be sent")
    return None if text == "" else value


def _not_huge(value: int) -> int:
    if value > MOST:
        raise ValueError(f"must be at most {MOST}")
    return value


Addresses = Annotated[
    tuple[Address, ...],
    PlainValidator(_addresses, json_schema_input_type=list[str]),
    PlainSerializer(lambda addresses: [str(each) for each in addresses], when_used="json"),
]
MasterName = Annotated[str, AfterValidator(_not_blank)]
Announced = Annotated[
    AddressMap,
    PlainValidator(AddressMap.parse, json_schema_input_type=dict[str, str]),
    PlainSerializer(AddressMap.texts, return_type=dict[str, str]),
]
Duration = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_seconds)]
Threshold = Annotated[Duration | None, BeforeValidator(_seconds_or_off)]
Count = Annotated[int, BeforeValidator(_number), AfterValidator(_not_huge)]
Durable = Annotated[Durability, BeforeValidator(durability)]
Secret = Annotated[SecretStr | None, BeforeValidator(_unless_empty)]
SecretFile = Annotated[Path | None, BeforeValidator(_unless_empty)]
Username = Annotated[str | None, BeforeValidator(_unless_empty)]
ClientName = Annotated[
    str | None,
    Field(pattern=r"^[!-~]+$"),  # CLIENT SETNAME refuses blanks and line ends
    BeforeValidator(_unless_empty),
]


_KINDS = frozenset(get_args(core_schema.ErrorType))


def without_input(error: ValidationError) -> ValidationError:
    """
    Returns the same error without the values that caused it: one of them may be a password.
    """
    told: list[Any] = []
    errors: list[Any] = error.errors(include_input=False, include_url=False)
    for each in errors:
        kind = each["type"]
        if kind not in _KINDS:  # one that pydantic itself does not make again, as for paths
            kind = PydanticCustomError(kind, each["msg"])
        told.append({"type": kind, "loc": each["loc"], "input": None, "ctx": each.get("ctx", {})})
    return ValidationError.from_exception_data(error.title, told, hide_input=True)
