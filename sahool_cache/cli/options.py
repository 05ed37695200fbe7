"""
The options that many commands share, and the settings that they lead to.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from sahool_cache.settings import RedisSettings

__all__ = [
    "AsJson",
    "Database",
    "Prefix",
    "Url",
    "Within",
    "Yes",
    "data_settings",
    "group_settings",
]

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The group: redis+sentinel://host:26379/master-name. What it leaves open, and a "
        "password best of all, is read from REDIS_* variables and .env.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document in place of text.")]
Within = Annotated[
    float,
    typer.Option(
        "--within", metavar="SECONDS", min=0.1, max=600, help="How long the group has to be well."
    ),
]
Database = Annotated[
    int | None,
    typer.Option("--db", min=0, help="Number of the database.", show_default=False),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--prefix", metavar="TEXT", help="What its keys begin with; an ACL may ask for another."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


def group_settings(url: str | None, **overrides: Any) -> RedisSettings:
    """
    The settings of `--url`, the environment and ``.env``; `typer.BadParameter` says what is wrong.
    """
    try:
        if url is not None:
            return RedisSettings.from_url(url, **overrides)
        return RedisSettings.from_env(**overrides)
    except ValidationError as wrong:
        raise typer.BadParameter("; ".join(map(_told, wrong.errors()))) from None
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


def data_settings(url: str | None, db: int | None) -> RedisSettings:
    """
    The same for commands that look at data: bytes, and another database if there is one given.
    """
    chosen = {} if db is None else {"db": db}
    return group_settings(url, decode_responses=False, **chosen)


def _told(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"
