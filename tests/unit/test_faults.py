from __future__ import annotations

import inspect

import pytest
from redis import exceptions as redis_errors

from sahool_cache import errors
from sahool_cache.connection.entries import read_error
from sahool_cache.connection.faults import (
    DialFailed,
    Expired,
    LaneLost,
    WentQuiet,
    judge,
    without_arguments,
)
from sahool_cache.errors import Verdict

RAN_NOT, UNKNOWN, REFUSED = Verdict.NOTHING_RAN, Verdict.UNKNOWN, Verdict.REFUSED

LOADING = "Redis is loading the dataset in memory"
READ_ONLY = "You can't write against a read only replica."
MASTER_DOWN = "Link with MASTER is down and replica-serve-stale-data is set to 'no'."

# Every class of redis.exceptions, with the text that comes with it, and what it says.
CLASSES = {
    "AskError": ("7 h:1", REFUSED),
    "AuthenticationError": ("invalid password", REFUSED),
    "AuthenticationWrongNumberOfArgsError": ("x", REFUSED),
    "AuthorizationError": ("x", UNKNOWN),
    "BusyLoadingError": (LOADING, RAN_NOT),
    "ChildDeadlockedError": ("x", REFUSED),
    "ClusterCrossSlotError": ("x", REFUSED),
    "ClusterDownError": ("The cluster is down", REFUSED),
    "ClusterError": ("x", REFUSED),
    "ConnectionError": ("Connection closed by server.", UNKNOWN),
    "CrossSlotTransactionError": ("x", REFUSED),
    "DataError": ("x", REFUSED),
    "ExecAbortError": ("Transaction discarded because of previous errors.", REFUSED),
    "ExternalAuthProviderError": ("x", UNKNOWN),
    "IncorrectPolicyType": ("x", REFUSED),
    "InvalidPipelineStack": ("x", REFUSED),
    "InvalidResponse": ("Protocol Error: ?", UNKNOWN),
    "LockError": ("x", REFUSED),
    "LockNotOwnedError": ("x", REFUSED),
    "MasterDownError": (MASTER_DOWN, RAN_NOT),
    "MaxConnectionsError": ("x", UNKNOWN),
    "ModuleError": ("x", REFUSED),
    "MovedError": ("7 h:1", REFUSED),
    "NoPermissionError": ("x", REFUSED),
    "NoScriptError": ("No matching script.", REFUSED),
    "NoSuchFieldsetError": ("x", REFUSED),
    "OutOfMemoryError": ("command not allowed when used memory > 'maxmemory'.", REFUSED),
    "PubSubError": ("x", REFUSED),
    "ReadOnlyError": (READ_ONLY, RAN_NOT),
    "RedisClusterException": ("x", REFUSED),
    "RedisError": ("x", REFUSED),
    "ResponseError": ("WRONGTYPE Operation against a key", REFUSED),
    "SlotNotCoveredError": ("x", REFUSED),
    "TimeoutError": ("Timeout reading from socket", UNKNOWN),
    "TryAgainError": ("Multiple keys request during rehashing of slot", REFUSED),
    "WatchError": ("x", REFUSED),
}


@pytest.mark.parametrize("name", CLASSES)
def test_the_verdict_on_each_class_of_redis_py(name: str) -> None:
    text, verdict = CLASSES[name]
    assert judge(getattr(redis_errors, name)(text)) is verdict


def test_no_class_of_redis_py_is_without_a_verdict() -> None:
    found = {
        name
        for name, each in inspect.getmembers(redis_errors, inspect.isclass)
        if issubclass(each, BaseException) and each.__module__ == redis_errors.__name__
    }
    assert found == CLASSES.keys()


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (f"LOADING {LOADING}", RAN_NOT),
        ("LOADING Valkey is loading the dataset in memory", RAN_NOT),
        (f"READONLY {READ_ONLY}", RAN_NOT),
        (f"READONLY {READ_ONLY} script: 7f92, on @user_script:1.", RAN_NOT),
        (f"MASTERDOWN {MASTER_DOWN}", RAN_NOT),
        ("NOREPLICAS Not enough good replicas to write.", RAN_NOT),
        # An administrator's word to the caller. Our own, before a planned failover, is
        # recognised by the connection that it was meant for.
        ("UNBLOCKED client unblocked via CLIENT UNBLOCK", REFUSED),
        (
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed "
                "(master -> replica?)"
            ),
            RAN_NOT,
        ),
        (
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or "
                "SHUTDOWN NOSAVE."
            ),
            RAN_NOT,
        ),
        (
            (
                "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or "
                "SHUTDOWN NOSAVE."
            ),
            RAN_NOT,
        ),
        ("BUSYGROUP Consumer Group name already exists", REFUSED),
        ("BUSYKEY Target key name already exists.", REFUSED),
        ("NOREPLICASX", REFUSED),
        ("BUSY come again", REFUSED),
        ("READONLY says a script that has written", REFUSED),
        ("TRYAGAIN says a script that has written", REFUSED),
        ("LOADING anything at all", Verdict.REFUSED),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", REFUSED),
        ("OOM command not allowed when used memory > 'maxmemory'.", REFUSED),
        ("MISCONF Redis is configured to save RDB snapshots", REFUSED),
        ("NOSCRIPT No matching script.", REFUSED),
        ("NOAUTH Authentication required.", REFUSED),
        ("WRONGPASS invalid username-password pair or user is disabled.", REFUSED),
        ("NOPERM User u has no permissions to run the 'set' command", REFUSED),
        ("EXECABORT Transaction discarded because of previous errors.", REFUSED),
        ("ERR unknown command 'X'", REFUSED),
        ("MOVED 7 h:1", REFUSED),
        ("MOVED nonsense", REFUSED),
        ("", REFUSED),
    ],
)
def test_the_verdict_on_a_servers_own_words(reply: str, verdict: Verdict) -> None:
    assert judge(read_error(reply)) is verdict


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (LaneLost("cut", sent=True), UNKNOWN),
        (LaneLost("cut", sent=False), RAN_NOT),
        (Expired("late"), UNKNOWN),
        (WentQuiet("silent"), UNKNOWN),
        (DialFailed("refused"), RAN_NOT),
        (DialFailed("login refused", permanent=True, login=True), RAN_NOT),
        (ConnectionResetError("reset"), UNKNOWN),
        (TimeoutError(), UNKNOWN),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), REFUSED),
        (ValueError("x"), REFUSED),
        (KeyError("x"), REFUSED),
        (errors.OutcomeUnknownError("x"), REFUSED),
        (errors.ReadOnlyViewError("x"), REFUSED),
        (errors.NeedsOwnConnectionError("x"), REFUSED),
    ],
)
def test_the_verdict_on_everything_else(fault: Exception, verdict: Verdict) -> None:
    assert judge(fault) is verdict


def test_arguments_that_a_server_quotes_are_not_passed_on() -> None:
    reply = "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 's3cret'"
    assert without_arguments(Exception(reply)) == "unknown command 'HELLO'"
    assert without_arguments(Exception()) == "Exception"
