"""
What each server and each sentinel is asked, and the right that an ACL has to grant for it.

A check names the questions that it needs: where one was refused, the check is skipped, with the
right that it wants.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from sahool_cache.cli.servers import pairs, read_info

__all__ = [
    "CKQUORUM",
    "CONFIG",
    "DEFAULT_USER",
    "INFO",
    "KNOWN_REPLICAS",
    "KNOWN_SENTINELS",
    "MASTER",
    "QUESTIONS",
    "SENTINEL_CONFIG",
    "SENTINEL_ID",
    "SENTINEL_INFO",
    "SLOWLOG",
    "TIME",
    "Question",
]

_SECRETS = frozenset(
    {"requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"}
)
_KEY = secrets.token_bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    One command, to the data servers or to the sentinels; ``mymaster`` stands for the group's name.
    """

    asked: str
    command: tuple[str, ...]
    right: str
    on: Literal["data", "sentinel"] = "data"
    read: Callable[[Any], Any] = lambda reply: reply
    bad_news: str | None = None
    """How an error begins that is an answer."""


def _settings(reply: Any) -> dict[str, Any]:
    return {name: _hidden(name, value) for name, value in pairs(reply).items()}


def _hidden(name: str, value: str) -> str:
    # Checks compare passwords and never see one: the same password has the same digest, in this
    # process alone.
    if name not in _SECRETS or not value:
        return value
    return blake2b(value.encode(), key=_KEY, digest_size=16).hexdigest()


def _view(reply: Any) -> dict[str, Any]:
    told = pairs(reply)
    for name in ("config-epoch", "down-after-milliseconds", "num-other-sentinels", "quorum"):
        int(told[name])  # what says something else is no sentinel
    return told


def _rows(reply: Any) -> list[dict[str, Any]]:
    return [pairs(row) for row in reply]


def _slow(reply: Any) -> list[tuple[float, str]]:
    # Seconds and the command's name; its arguments are nobody's business.
    return [(int(entry[2]) / 1e6, str(entry[3][0]).upper()) for entry in reply]


INFO = Question(asked="INFO", command=("INFO",), right="+info", read=read_info)
CONFIG = Question(
    asked="CONFIG GET", command=("CONFIG", "GET", "*"), right="+config|get", read=_settings
)
TIME = Question(asked="TIME", command=("TIME",), right="+time")
SLOWLOG = Question(
    asked="SLOWLOG GET", command=("SLOWLOG", "GET", "128"), right="+slowlog|get", read=_slow
)
DEFAULT_USER = Question(
    asked="ACL GETUSER",
    command=("ACL", "GETUSER", "default"),
    right="+acl|getuser",
    read=lambda reply: pairs(reply).get("flags", []),
)

MASTER = Question(
    asked="SENTINEL MASTER",
    command=("SENTINEL", "MASTER", "mymaster"),
    right="+sentinel|master",
    on="sentinel",
    read=_view,
)
KNOWN_REPLICAS = Question(
    asked="SENTINEL REPLICAS",
    command=("SENTINEL", "REPLICAS", "mymaster"),
    right="+sentinel|replicas",
    on="sentinel",
    read=_rows,
)
KNOWN_SENTINELS = Question(
    asked="SENTINEL SENTINELS",
    command=("SENTINEL", "SENTINELS", "mymaster"),
    right="+sentinel|sentinels",
    on="sentinel",
    read=_rows,
)
SENTINEL_ID = Question(
    asked="SENTINEL MYID",
    command=("SENTINEL", "MYID"),
    right="+sentinel|myid",
    on="sentinel",
)
CKQUORUM = Question(
    asked="SENTINEL CKQUORUM",
    command=("SENTINEL", "CKQUORUM", "mymaster"),
    right="+sentinel|ckquorum",
    on="sentinel",
    read=str,
    bad_news="NOQUORUM",
)
SENTINEL_CONFIG = Question(
    asked="SENTINEL CONFIG GET",
    command=("SENTINEL", "CONFIG", "GET", "*"),
    right="+sentinel|config",
    on="sentinel",
    read=lambda reply: {
        name: value for name, value in pairs(reply).items() if name != "sentinel-pass"
    },
)
SENTINEL_INFO = Question(
    asked="INFO on a sentinel", command=("INFO",), right="+info", on="sentinel", read=read_info
)

QUESTIONS = (
    *(INFO, CONFIG, TIME, SLOWLOG, DEFAULT_USER),
    *(MASTER, KNOWN_REPLICAS, KNOWN_SENTINELS, SENTINEL_ID, CKQUORUM),
    *(SENTINEL_CONFIG, SENTINEL_INFO),
)
