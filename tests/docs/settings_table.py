"""
Writes docs/settings.md from the fields of `RedisSettings`: `python -m tests.docs.settings_table`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from sahool_cache import NearCacheSettings, RedisSettings, TLSSettings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

REQUIRED = ("sentinels", "master_name")

DETAILS: dict[type[BaseModel], str] = {
    TLSSettings: "`TLSSettings`, for `tls` and `sentinel_tls`",
    NearCacheSettings: "`NearCacheSettings`, for `near_cache`",
}

HEAD = """# Settings

Made from the fields of `RedisSettings` by `python -m tests.docs.settings_table`; a test holds
them in step.

Precedence: keyword > URL > environment > `.env` > default. Every setting is also the environment
variable `REDIS_<NAME>` in capitals, and a query parameter of the URL
`redis+sentinel://user:password@host:26379,host2/master-name/0?name=value`
(`rediss+sentinel://` for TLS). Beside these the environment takes `REDIS_URL`,
`REDIS_SENTINEL_HOST_1` ... `_n` (host or host:port) with `REDIS_SENTINEL_PORT` and
`REDIS_SENTINEL_PORT_n`, `REDIS_TLS_<DETAIL>` and `REDIS_NEAR_CACHE_<DETAIL>`.
Durations are seconds, or a `timedelta`.

Settings are frozen and checked when they are given: a wrong one raises `ValueError` that names it.

| setting | default | meaning |
|---|---|---|
"""


def page() -> str:
    """
    The page's whole text.
    """
    parts = [HEAD, _table(RedisSettings)]
    for kind, title in DETAILS.items():
        parts.append(
            f"\n## {title}\n\n| detail | default | meaning |\n|---|---|---|\n{_table(kind)}"
        )
    return "".join(parts)


def _table(kind: type[BaseModel]) -> str:
    rows = []
    for name, field in kind.model_fields.items():
        value = field.get_default(call_default_factory=True)
        default = "required" if name in REQUIRED else f"`{value!r}`"
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | {default} | {meaning} |\n")
    return "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
