"""
What can go wrong, and what the caller may do about it.

::

    SahoolCacheError
    ├── UnavailableError             nothing was changed; try again later, or degrade
    │   ├── MasterUnknownError       no sentinel names a master; lists each sentinel's own cause
    │   ├── NoReplicaError           read_from="replica", and no replica is fit to be read
    │   ├── ConnectFailedError       the server was found, but no connection could be made
    │   │   └── LoginFailedError     the server refused the username or the password
    │   ├── CircuitOpenError         the node keeps failing; `retry_after` seconds from now it is probed
    │   ├── OverloadedError          the waiting line is full, or too slow for what is left of the budget
    │   ├── DeadlineExceededError    the budget ended before an answer came
    │   └── ClientClosedError        the client was closed
    ├── OutcomeUnknownError          sent, and no answer came: it may or may not have run
    ├── NotDurableError              it ran on the master; too few replicas confirmed it in time
    ├── LockError                    a distributed lock; `lock_name`
    │   ├── LockNotAcquiredError     somebody else had it for all of the wait; nothing was changed
    │   └── LockLostError            it was lost while held: the work since may have run beside another owner's
    └── UsageError                   the call itself is wrong; nothing was sent
        ├── NeedsOwnConnectionError  changes its connection's state; the message names the method to use
        └── ReadOnlyViewError        a write through `redis.replica`

An error *reply* of the server is none of these: it is raised as redis-py's own exception.
Ours inherit redis-py's `ConnectionError`, `TimeoutError`, `DataError` or `LockError`, so that
existing `except` clauses keep working. No message holds a value or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from redis import exceptions as redis_errors

__all__ = [
    "CircuitOpenError",
    "ClientClosedError",
    "ConnectFailedError",
    "DeadlineExceededError",
    "LockError",
    "LockLostError",
    "LockNotAcquiredError",
    "LoginFailedError",
    "MasterUnknownError",
    "NeedsOwnConnectionError",
    "NoReplicaError",
    "NotDurableError",
    "OutcomeUnknownError",
    "OverloadedError",
    "ReadOnlyViewError",
    "SahoolCacheError",
    "UnavailableError",
    "UsageError",
    "Verdict",
]


class Verdict(Enum):
    """
    What one failed attempt says about the command it carried.
    """

    NOTHING_RAN = "nothing ran"
    """Never sent, or the server said that it did not run it: may be sent again."""

    UNKNOWN = "outcome unknown"
    """Sent, and no answer came: only a repeatable command may be sent again."""

    REFUSED = "refused"
    """An answer, and it is no: raised to the caller as it is."""


class SahoolCacheError(redis_errors.RedisError):
    """
    Everything that this library raises of its own.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class UnavailableError(SahoolCacheError, redis_errors.ConnectionError):
    """
    The call was not served, and nothing was changed.

    `node` is the server's ``host:port`` where one was chosen.
    """

    def __init__(self, message: str = "", *, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class MasterUnknownError(UnavailableError):
    """
    No sentinel names a master.

    `causes` maps each sentinel's ``host:port`` to what it said, or why it said nothing.
    """

    def __init__(
        self, message: str = "", *, node: str | None = None, causes: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, node=node)
        self.causes = dict(causes or {})


class NoReplicaError(UnavailableError):
    """
    No replica is fit to be read, and the call did not allow the master.
    """


class ConnectFailedError(UnavailableError):
    """
    The server's address is known, but no connection to it could be made.
    """


class LoginFailedError(ConnectFailedError, redis_errors.AuthenticationError):
    """
    The server refused the credentials; the message names the setting.
    """


class CircuitOpenError(UnavailableError):
    """
    The node has failed for too long; calls are refused at once until it has been probed.

    `retry_after` is in seconds.
    """

    def __init__(
        self, message: str = "", *, node: str | None = None, retry_after: float = 0.0
    ) -> None:
        super().__init__(message, node=node)
        self.retry_after = retry_after


class OverloadedError(UnavailableError):
    """
    The waiting line is full, or cannot serve this call within what is left of its budget.
    """


class DeadlineExceededError(UnavailableError, redis_errors.TimeoutError):
    """
    The call's budget ended before an answer came; nothing was changed.
    """


class ClientClosedError(UnavailableError):
    """
    The client was closed before the call, or while it waited.
    """


class OutcomeUnknownError(
    SahoolCacheError, redis_errors.ConnectionError, redis_errors.TimeoutError
):
    """
    The command reached the wire and no answer came: it may or may not have run.

    `command` is its name, `node` the server's ``host:port``.
    """

    def __init__(
        self, message: str = "", *, command: str | None = None, node: str | None = None
    ) -> None:
        super().__init__(message)
        self.command = command
        self.node = node


class NotDurableError(SahoolCacheError):
    """
    The write ran on the master, and is lost if that fails before the replicas have it.

    `confirmed` replicas have it, of `wanted`; `reply` is what the master answered.
    """

    def __init__(
        self,
        message: str = "",
        *,
        command: str | None = None,
        node: str | None = None,
        confirmed: int = 0,
        wanted: int = 1,
        reply: Any = None,
    ) -> None:
        super().__init__(message)
        self.command = command
        self.node = node
        self.confirmed = confirmed
        self.wanted = wanted
        self.reply = reply


class LockError(SahoolCacheError, redis_errors.LockError):
    """
    A distributed lock could not be had, or not be kept; `lock_name` is the name it was given.
    """

    def __init__(self, message: str = "", lock_name: str | None = None) -> None:
        super().__init__(message, lock_name)


class LockNotAcquiredError(LockError):
    """
    Somebody else had the lock for as long as it was waited for; nothing was changed.
    """


class LockLostError(LockError, redis_errors.LockNotOwnedError):
    """
    The lease ended, or somebody else has the lock: what was done under it since may have run
    beside another owner. A resource that checks the fence has refused the older one.
    """


class UsageError(SahoolCacheError, redis_errors.DataError):
    """
    The call is wrong in itself; nothing was sent.
    """


class NeedsOwnConnectionError(UsageError):
    """
    The command changes the state of its connection, and connections are shared here.
    """


class ReadOnlyViewError(UsageError, redis_errors.ReadOnlyError):
    """
    A write was called through a view that only reads.
    """
