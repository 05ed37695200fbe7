"""
Settings out of ``REDIS_*`` variables; those that are not ours are other software's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from sahool_cache.settings.fields import SENTINEL_PORT, has_port
from sahool_cache.settings.names import nest
from sahool_cache.settings.url import is_foreign, parse_url

__all__ = ["PREFIX", "from_url_variable", "from_variables", "ours"]

PREFIX = "redis_"


def ours(variables: Mapping[str, str | None]) -> dict[str, str]:
    """
    Returns the variables that have a value, without their prefix; names are in lower case.
    """
    return {
        name.removeprefix(PREFIX): text
        for name, text in variables.items()
        if name.startswith(PREFIX) and text and text.strip()
    }


def from_url_variable(variables: Mapping[str, str], known: Collection[str]) -> dict[str, Any]:
    """
    Returns what ``REDIS_URL`` says, nothing if it is the URL of a single server.
    """
    url = variables.get("url")
    if url is None or is_foreign(url):
        return {}
    try:
        return parse_url(url, known)
    except ValueError as error:
        raise ValueError(f"REDIS_URL: {error}") from None


def from_variables(
    variables: Mapping[str, str], ports: Mapping[str, str], known: Collection[str]
) -> dict[str, Any]:
    """
    Returns what the variables other than ``REDIS_URL`` say.

    `ports` has the ``SENTINEL_PORT`` variables: those of a source of higher rank count here, too.
    """
    settings = nest({name: text for name, text in variables.items() if name in known})
    sentinels = _sentinels(variables, ports)
    return settings | ({"sentinels": sentinels} if sentinels else {})


def _sentinels(variables: Mapping[str, str], ports: Mapping[str, str]) -> list[object]:
    port = ports.get("sentinel_port")
    if "sentinels" in variables:
        hosts = variables["sentinels"].split(",")
        return [_sentinel(host, port) for host in hosts if host.strip()]
    numbered = [name for name in variables if re.fullmatch(r"sentinel_host_[0-9]+", name)]
    numbers = sorted((name.rpartition("_")[2] for name in numbered), key=int)
    return [
        _sentinel(variables[f"sentinel_host_{n}"], ports.get(f"sentinel_port_{n}", port))
        for n in numbers
    ]


def _sentinel(host: str, port: str | None) -> object:
    # Kubernetes sets REDIS_SENTINEL_PORT=tcp://10.0.0.1:26379 for a service named redis-sentinel
    if port is None or "://" in port:
        port = str(SENTINEL_PORT)
    return host if has_port(host) else (host.strip(), port)
