"""
Who may set a setting, and in which order: keyword > URL > environment > ``.env``.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from sahool_cache.settings.environment import from_url_variable, from_variables, ours
from sahool_cache.settings.url import parse_url

__all__ = ["ISOLATED", "NOT_FIELDS", "URL", "layers"]

# passed to `RedisSettings` like settings, and taken out again before these are validated
URL, ISOLATED = "_url", "_isolated"
NOT_FIELDS = {URL, ISOLATED, "_env_file"}


# Two ways to say one thing: a source that says it in one way is above the other way, too.
_EITHER = (("password", "password_file"), ("sentinel_password", "sentinel_password_file"))


def layers(
    given: Mapping[str, Any],
    variables: tuple[PydanticBaseSettingsSource, ...],
    known: Collection[str],
) -> Iterator[dict[str, Any]]:
    """
    Yields what each source says, highest rank first, without what a higher one says differently.
    """
    said: set[str] = set()
    for layer in _layers(given, variables, known):
        yield {name: value for name, value in layer.items() if name not in said}
        for pair in _EITHER:
            if layer.keys() & set(pair):
                said.update(pair)


def _layers(
    given: Mapping[str, Any],
    variables: tuple[PydanticBaseSettingsSource, ...],
    known: Collection[str],
) -> Iterator[dict[str, Any]]:
    """
    `variables` are the environment and ``.env``. Each has its own ``REDIS_URL``, which ranks above
    its other variables; a URL that was passed takes the place of both.
    """
    yield {name: value for name, value in given.items() if name not in NOT_FIELDS}
    if URL in given:
        yield parse_url(given[URL], known)
    if ISOLATED in given:
        return
    found = [ours(source.env_vars) for source in variables if isinstance(source, EnvSettingsSource)]
    for each in found:
        if URL not in given:
            yield from_url_variable(each, known)
        yield from_variables(each, ChainMap(*found), known)
