"""
Whether a write that ran is durable.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import NoPermissionError

from sahool_cache.address import Address
from sahool_cache.connection.request import Batch, Single
from sahool_cache.errors import NotDurableError
from sahool_cache.routing.topology import Topology
from sahool_cache.wiring.fleet import Fleet

__all__ = ["REPLACED", "doubt_of", "not_durable", "note_refusal"]

REPLACED = "its master was replaced, or is about to be"


def doubt_of(
    fleet: Fleet,
    sent_to: Topology,
    node: Address,
    confirmed: int | None,
    wanted: int,
    refusal: Exception | None,
) -> str | None:
    """
    Why it is not; None where it is: enough replicas have it, and the master that took it is
    still the one of the newest epoch, with no failover under way.
    """
    now = fleet.topology
    same = (now.master, now.order) == (sent_to.master, sent_to.order) and node == now.master
    if not same or fleet.watcher.fenced:
        return REPLACED
    if refusal is not None:
        note_refusal(fleet, refusal)
        return f"the server refused to tell ({refusal})"
    if confirmed is None or confirmed < wanted:
        return f"{confirmed or 0} of {wanted} have it"
    return None


def note_refusal(fleet: Fleet, refusal: Exception) -> None:
    """
    Tells which right is missing, if that is why the replicas could not be waited for.
    """
    if isinstance(refusal, NoPermissionError):
        said = str(refusal).upper()
        for right in ("SPUBLISH", "ROLE", "WAIT"):
            if f"'{right}'" in said or f"RIGHT TO {right}" in said:
                fleet.right_missing(right)
                return


def not_durable(
    request: Single | Batch,
    topology: Topology,
    confirmed: int | None,
    wanted: int,
    reply: Any,
    doubt: str,
) -> NotDurableError:
    """
    The error that says so.
    """
    return NotDurableError(
        f"{request.name} ran on {topology.master}, and replicas did not confirm it: {doubt}",
        command=request.name,
        node=str(topology.master),
        confirmed=confirmed or 0,
        wanted=wanted,
        reply=reply,
    )
