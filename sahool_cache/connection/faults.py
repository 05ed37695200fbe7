"""
What a failed attempt says about its command: nothing ran, outcome unknown, or refused.
"""

from __future__ import annotations

from redis import exceptions as redis_errors

from sahool_cache.errors import SahoolCacheError, Verdict

__all__ = ["DialFailed", "Expired", "LaneLost", "WentQuiet", "judge", "without_arguments"]


class LaneLost(Exception):
    """
    The connection ended before the reply; `sent` says whether the command had left.
    """

    def __init__(self, cause: str, *, sent: bool) -> None:
        super().__init__(cause)
        self.sent = sent
        self.node: str | None = None


class Expired(Exception):
    """
    The reply did not come within the call's budget; the connection itself goes on.
    """

    node: str | None = None


class WentQuiet(Exception):
    """
    The server fell silent while a read waited on it; the read may be asked of another.
    """


class DialFailed(Exception):
    """
    No connection could be made. `permanent` faults (a wrong password, a refused
    certificate, a server of another kind) do not pass by waiting.
    """

    def __init__(self, cause: str, *, permanent: bool = False, login: bool = False) -> None:
        super().__init__(cause)
        self.permanent = permanent
        self.login = login


_NOT_EXECUTED = (
    "NOREPLICAS Not enough good replicas to write",
    "UNBLOCKED force unblock from blocking operation",
    "BUSY Redis is busy",
    "BUSY Valkey is busy",
    "You can't write against a read only",
    "Link with MASTER is down",
    "Redis is loading the dataset",
    "Valkey is loading the dataset",
)
"""How the replies begin that mean: not executed. The server's own words, and not just their first
one: a script may reply with any error it likes after it has written."""


def judge(fault: BaseException) -> Verdict:
    """
    The verdict on one failed attempt. The first line that fits decides.
    """
    match fault:
        case LaneLost():
            return Verdict.UNKNOWN if fault.sent else Verdict.NOTHING_RAN
        case Expired() | WentQuiet():
            return Verdict.UNKNOWN
        case DialFailed():
            return Verdict.NOTHING_RAN
        case redis_errors.InvalidResponse():
            return Verdict.UNKNOWN
        case redis_errors.ResponseError() | redis_errors.BusyLoadingError():
            said = str(fault).startswith(_NOT_EXECUTED)
            return Verdict.NOTHING_RAN if said else Verdict.REFUSED
        case SahoolCacheError():
            return Verdict.REFUSED
        case redis_errors.AuthenticationError():
            return Verdict.REFUSED
        case redis_errors.ConnectionError() | redis_errors.TimeoutError() | OSError():
            return Verdict.UNKNOWN
    return Verdict.REFUSED


def without_arguments(error: Exception) -> str:
    """
    What the error says, without the arguments that a server quotes: a password may be one.
    """
    return str(error).partition(", with args")[0] or type(error).__name__
