from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest
from redis import exceptions as redis_errors

from sahool_cache import errors
from sahool_cache.errors import (
    CircuitOpenError,
    LoginFailedError,
    MasterUnknownError,
    OutcomeUnknownError,
    SahoolCacheError,
    UnavailableError,
)

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, BaseException)
]
ROW = re.compile(r"^(?P<stem>[│ ]*)[├└]── (?P<name>\w+)")


def drawn_tree() -> dict[str, str]:
    """
    Child -> parent, as the module's docstring draws it; four columns are one step.
    """
    tree: dict[str, str] = {}
    path = ["SahoolCacheError"]
    rows = [line[4:] for line in inspect.getdoc(errors).splitlines()]  # type: ignore[union-attr]
    assert "SahoolCacheError" in rows
    for match in filter(None, map(ROW.match, rows)):
        depth = len(match["stem"]) // 4 + 1
        del path[depth:]
        tree[match["name"]] = path[-1]
        path.append(match["name"])
    return tree


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    real = {
        each.__name__: next(base.__name__ for base in each.__bases__ if base in CLASSES)
        for each in CLASSES
        if each is not SahoolCacheError
    }
    assert drawn_tree() == real


def test_every_class_is_public() -> None:
    assert {each.__name__ for each in CLASSES} == set(errors.__all__) - {"Verdict"}


PARENTS = {
    "SahoolCacheError": "RedisError",
    "UnavailableError": "ConnectionError",
    "LoginFailedError": "AuthenticationError",
    "DeadlineExceededError": "TimeoutError",
    "UsageError": "DataError",
    "ReadOnlyViewError": "ReadOnlyError",
}


@pytest.mark.parametrize("error", CLASSES)
def test_redis_pys_except_clauses_keep_working(error: type[SahoolCacheError]) -> None:
    assert issubclass(error, redis_errors.RedisError)
    if error.__name__ in PARENTS:
        assert issubclass(error, getattr(redis_errors, PARENTS[error.__name__]))
    if issubclass(error, UnavailableError):
        assert issubclass(error, redis_errors.ConnectionError)


def test_an_unknown_outcome_is_both_a_connection_and_a_time_error_but_not_unavailable() -> None:
    assert issubclass(OutcomeUnknownError, redis_errors.ConnectionError)
    assert issubclass(OutcomeUnknownError, redis_errors.TimeoutError)
    assert not issubclass(OutcomeUnknownError, UnavailableError)


def filled(error: type[SahoolCacheError]) -> SahoolCacheError:
    values: dict[str, Any] = {
        "node": "h:1", "command": "INCR", "retry_after": 1.5, "causes": {"h:1": "refused"},
        "lock_name": "export",
    }  # fmt: skip
    accepted = inspect.signature(error).parameters
    return error("a message", **{name: values[name] for name in values if name in accepted})


@pytest.mark.parametrize("error", CLASSES)
def test_pickling_and_copying_keep_message_and_attributes(error: type[SahoolCacheError]) -> None:
    made = filled(error)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):  # noqa: S301
        assert type(again) is error
        assert str(again) == "a message"
        assert vars(again) == vars(made)


@pytest.mark.parametrize("error", CLASSES)
def test_every_attribute_has_a_default(error: type[SahoolCacheError]) -> None:
    assert str(error()) == ""


def test_what_each_error_carries() -> None:
    assert UnavailableError("m", node="h:1").node == "h:1"
    assert CircuitOpenError("m", retry_after=2.0).retry_after == 2.0
    assert OutcomeUnknownError("m", command="INCR", node="h:1").command == "INCR"
    causes = {"h:1": "refused"}
    error = MasterUnknownError("m", causes=causes)
    causes["h:2"] = "later"
    assert error.causes == {"h:1": "refused"}
    assert isinstance(LoginFailedError("m"), redis_errors.AuthenticationError)
