"""
Why a call is not served: the errors that a caller gets to read.
"""

from __future__ import annotations

from collections.abc import Iterable

from sahool_cache.connection.faults import DialFailed
from sahool_cache.connection.lane import Lane
from sahool_cache.errors import (
    ConnectFailedError,
    DeadlineExceededError,
    LoginFailedError,
    MasterUnknownError,
    OverloadedError,
    UnavailableError,
)
from sahool_cache.policy.deadline import Deadline
from sahool_cache.wiring.fleet import Fleet
from sahool_cache.wiring.members import Member

__all__ = ["check_crowd", "check_permanent", "master_unknown", "too_late"]


def master_unknown(fleet: Fleet) -> MasterUnknownError:
    """
    The error that lists each sentinel with its own cause.
    """
    causes, named = fleet.watcher.causes, fleet.watcher.named
    told = "; ".join(f"{sentinel}: {cause}" for sentinel, cause in causes.items())
    why = ""
    member = fleet.members.get(named)
    if member is not None:
        unconnected = "no connection to it stands yet"
        if fleet.settings.tls:
            unconnected += " (TLS handshake: check the setting `tls`)"
        doubt = "does not say it is master" if member.node.lanes else unconnected
        why = f"; {named} is named, but {member.node.fault or doubt}"
    name = fleet.settings.master_name
    return MasterUnknownError(
        f"no master {name!r} is known (sentinels: {told or 'none answered yet'}{why})",
        causes=causes,
    )


def too_late(member: Member) -> UnavailableError:
    """
    The error for a budget that ended while the master could not be used.
    """
    node, address = member.node, str(member.node.address)
    if node.fault is not None:
        return ConnectFailedError(
            f"no connection to the master {address} within the budget: {node.fault}",
            node=address,
        )
    return DeadlineExceededError(
        f"the budget ended while the master {address} could not take commands", node=address
    )


def check_crowd(lanes: Iterable[Lane], deadline: Deadline) -> None:
    """
    Refuses a call at once that would stand in a queue for longer than it has.
    """
    ahead = min((lane.expected_wait for lane in lanes), default=0.0)
    if ahead > deadline.left:
        raise OverloadedError(
            f"about {ahead:.2f} s of replies are ahead of it, and it has {deadline.left:.2f} s"
        )


def check_permanent(fault: DialFailed | None, address: str) -> None:
    """
    Raises a fault that waiting does not mend.
    """
    if fault is None or not fault.permanent:
        return
    if fault.login:
        raise LoginFailedError(f"{address}: {fault}", node=address) from fault
    raise ConnectFailedError(f"{address}: {fault}", node=address) from fault
