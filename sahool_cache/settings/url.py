"""
Settings out of ``redis+sentinel://user:password@host:port,host/master-name/db?setting=value``.

No error quotes a part that may hold a password.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import unquote

from sahool_cache.address import Address
from sahool_cache.settings.fields import SENTINEL_PORT, address, has_port
from sahool_cache.settings.names import nest, refuse_unknown

__all__ = ["is_foreign", "parse_url"]

_PLAIN, _TLS = "redis+sentinel", "rediss+sentinel"
_FOREIGN = {"redis", "rediss", "unix", "valkey", "valkeys"}
_EXPECTED = "redis+sentinel://user:password@host:26379,host/master-name/0"


def is_foreign(url: str) -> bool:
    """
    True for the URL of a single server, as other software reads it from ``REDIS_URL``.
    """
    return _split_scheme(url)[0] in _FOREIGN


def parse_url(url: str, known: Collection[str]) -> dict[str, Any]:
    """
    Returns the settings that a URL names; `known` are the names that its query may have.

    Values are percent-decoded, and ``+`` stands for itself. A parameter without a value is not
    set. Raises `ValueError` that names the part of the URL that is wrong.
    """
    scheme, rest = _split_scheme(url)
    if scheme not in {_PLAIN, _TLS}:
        raise ValueError(f"the URL's scheme is not redis(s)+sentinel; expected {_EXPECTED}")
    if "#" in rest:
        raise ValueError("the URL has a fragment; write # as %23")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    parts = _credentials(credentials) | {"sentinels": _hosts(hosts)} | _path(path)
    texts = _query(query, parts, known)
    if "master_name" not in parts.keys() | texts.keys():
        raise ValueError(f"the URL has no master name (master_name); expected {_EXPECTED}")
    settings = parts | nest(texts)
    return _with_tls(settings) if scheme == _TLS else settings


def _split_scheme(url: str) -> tuple[str, str]:
    if not isinstance(url, str):
        raise ValueError(f"the URL is {type(url).__name__}, not a text; expected {_EXPECTED}")  # noqa: TRY004
    scheme, _, rest = url.strip().partition("://")
    return scheme.lower(), rest


def _credentials(text: str) -> dict[str, Any]:
    username, _, password = text.partition(":")
    named = {"username": username, "password": password}
    return {name: _decoded(value, name) for name, value in named.items() if value}


def _hosts(text: str) -> tuple[Address, ...]:
    if not text:
        raise ValueError(f"the URL has no host (sentinels); expected {_EXPECTED}")
    return tuple(_host(each, number) for number, each in enumerate(text.split(","), start=1))


def _host(text: str, number: int) -> Address:
    text = _decoded(text, f"host {number} (sentinels)")
    try:
        return address(text, SENTINEL_PORT)
    except ValueError:
        part = "port of host" if has_port(text) else "host"
    raise ValueError(f"{part} {number} (sentinels) of the URL is wrong; expected {_EXPECTED}")


def _path(text: str) -> dict[str, Any]:
    if "@" in text:
        raise ValueError("the URL has an @ after its first /; write / as %2F and @ as %40")
    master_name, _, db = text.partition("/")
    named = {"master_name": _decoded(master_name, "master_name"), "db": db}
    if db and not (db.isdecimal() and db.isascii()):
        raise ValueError(f"the db in the URL is not a number; expected {_EXPECTED}")
    return {name: value for name, value in named.items() if value}


def _query(text: str, parts: Collection[str], known: Collection[str]) -> dict[str, str]:
    items = [item.partition("=") for item in text.split("&") if item]
    if "@" in text and not {name for name, _, _ in items} <= set(known):
        # an unencoded ? in the password makes its tail look like a parameter
        raise ValueError("the URL has an unknown parameter; write ? as %3F and @ as %40")
    refuse_unknown((name for name, _, _ in items), known)
    seen = set(parts)
    for name, _, _ in items:
        if name in seen:
            raise ValueError(f"the URL gives {name} twice")
        seen.add(name)
    return {name: _decoded(value, name) for name, _, value in items if value}


def _with_tls(settings: dict[str, Any]) -> dict[str, Any]:
    if settings.get("tls") is False:
        raise ValueError("the URL says rediss, and tls=false")
    return {"tls": {}, "sentinel_tls": None} | settings


def _decoded(text: str, part: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{part} in the URL is not percent-encoded UTF-8") from None
