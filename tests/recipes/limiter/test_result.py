"""
What a result is, and how HTTP says it.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.result import RateLimitResult, Standing

MINUTE, SECOND, ODD = Limit(100, 60), Limit(10, 1), Limit(7, 0.5)


def result(*standings: Standing, allowed: bool = True, limits: Any = (MINUTE,)) -> RateLimitResult:
    return RateLimitResult.of(limits, standings, allowed=allowed)


def test_a_result_is_true_where_the_call_is_allowed() -> None:
    allowed = result(Standing(42, 12_300_000, 0))
    assert allowed
    assert (allowed.limit, allowed.remaining, allowed.reset_after) == (100, 42, 12.3)
    assert (allowed.retry_after, allowed.degraded) == (0.0, False)
    refused = result(Standing(0, 60_000_000, 250_000), allowed=False)
    assert not refused
    assert refused.retry_after == 0.25
    with pytest.raises(FrozenInstanceError):
        refused.allowed = True  # type: ignore[misc]


def test_the_most_constraining_limit_is_reported() -> None:
    both = (SECOND, MINUTE)
    fewest = result(Standing(9, 900_000, 0), Standing(3, 58_000_000, 0), limits=both)
    assert (fewest.reported, fewest.remaining) == (MINUTE, 3)
    slowest = result(Standing(3, 10, 0), Standing(3, 58_000_000, 0), limits=both)
    assert slowest.reported is MINUTE
    longest = result(
        Standing(0, 900_000, 100_000), Standing(1, 58_000_000, 0), limits=both, allowed=False
    )
    assert (longest.reported, longest.retry_after) == (SECOND, 0.1)
    longest = result(
        *(Standing(0, 900_000, 100_000), Standing(0, 58_000_000, 600_000)),
        limits=both,
        allowed=False,
    )
    assert (longest.reported, longest.retry_after) == (MINUTE, 0.6)


def test_headers_of_an_allowed_call() -> None:
    allowed = result(Standing(42, 12_300_000, 0))
    assert allowed.headers() == {
        "RateLimit-Policy": '"default";q=100;w=60',
        "RateLimit": '"default";r=42;t=13',
    }
    assert allowed.headers("legacy") == {
        "RateLimit-Limit": "100",
        "RateLimit-Remaining": "42",
        "RateLimit-Reset": "13",
    }
    assert allowed.headers("x") == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "42",
        "X-RateLimit-Reset": "13",
    }
    full = result(Standing(100, 0, 0))
    assert full.headers()["RateLimit"] == '"default";r=100;t=0'


def test_a_refusal_says_when_to_come_back_and_never_sooner_than_the_reset() -> None:
    soon = result(Standing(0, 60_000_000, 1), allowed=False)
    assert soon.headers()["Retry-After"] == "1"
    assert soon.headers()["RateLimit"] == '"default";r=0;t=1'
    later = result(Standing(0, 60_000_000, 7_000_001), allowed=False)
    for style, reset in (("legacy", "RateLimit-Reset"), ("x", "X-RateLimit-Reset")):
        fields = later.headers(style)  # type: ignore[arg-type]
        assert fields["Retry-After"] == fields[reset] == "8"


def test_several_policies_are_a_list_and_told_apart() -> None:
    standings = Standing(9, 900_000, 0), Standing(3, 58_000_000, 0), Standing(5, 1, 0)
    fields = result(*standings, limits=(SECOND, MINUTE, ODD)).headers(name="api")
    assert fields["RateLimit-Policy"] == (
        '"api-10/1s";q=10;w=1, "api-100/60s";q=100;w=60, "api-7/0.5s";q=7'
    )
    assert fields["RateLimit"] == '"api-100/60s";r=3;t=58'


def test_a_name_is_a_string_of_structured_fields() -> None:
    allowed = result(Standing(42, 0, 0))
    assert allowed.headers(name='a "b" \\')["RateLimit"] == r'"a \"b\" \\";r=42;t=0'
    for wrong in ("", "ä", "a\nb", "\x7f"):
        with pytest.raises(ValueError, match="name"):
            allowed.headers(name=wrong)
    with pytest.raises(ValueError, match="style"):
        allowed.headers("github")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit(10, 1), "10/1s"),
        (Limit(10, 100), "10/100s"),
        (Limit(1, 0.25), "1/0.25s"),
        (Limit(1, 0.0010004), "1/0.001s"),
    ],
)
def test_a_limit_has_a_short_text(limit: Limit, text: str) -> None:
    assert str(limit) == text
