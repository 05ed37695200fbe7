"""
The client's events in words.
"""

from __future__ import annotations

from typing import Literal

from sahool_cache.events import (
    BreakerChanged,
    Event,
    FenceLifted,
    FenceRaised,
    MasterChanged,
    NodeDown,
    NodeQuiet,
    NodeUp,
    RightMissing,
    RotationChanged,
    SentinelDown,
    SentinelSaid,
    SentinelUp,
    TopologyConfirmed,
)

__all__ = ["words"]


def words(event: Event) -> tuple[str, Literal["trouble", "good", "news"]]:
    """
    What happened, and whether it is trouble.
    """
    match event:
        case MasterChanged():
            return _master(event), "good"
        case TopologyConfirmed(master=master, epoch=epoch):
            return f"the sentinels confirm {master} (epoch {epoch})", "good"
        case FenceRaised(master=master, why=why):
            return f"commands to {master} are held ({why})", "trouble"
        case FenceLifted(why=why):
            return f"commands flow again ({why})", "good"
        case NodeUp(node=node, role=role):
            return f"{node} can be used ({role or 'role unknown'})", "good"
        case NodeDown(node=node, why=why):
            return f"{node} cannot be used: {why}", "trouble"
        case NodeQuiet(node=node):
            return f"{node} owes replies and is silent", "trouble"
        case RotationChanged(in_rotation=fit) if fit:
            return f"fit to be read: {', '.join(map(str, fit))}", "news"
        case RotationChanged():
            return "no replica is fit to be read", "trouble"
        case SentinelUp(sentinel=sentinel):
            return f"sentinel {sentinel} answers", "good"
        case SentinelDown(sentinel=sentinel, why=why):
            return f"sentinel {sentinel} does not answer: {why}", "trouble"
        case SentinelSaid(event=said, node=node):
            return f"a sentinel says {said}" + (f" of {node}" if node else ""), "news"
        case BreakerChanged(node=node, state=state):
            tone: Literal["good", "trouble"] = "good" if state == "closed" else "trouble"
            return f"the breaker of {node} is {state.replace('_', '-')}", tone
        case RightMissing(right=right, costs=costs):
            return f"the right to {right} is missing: {costs}", "trouble"
    return str(event), "news"


def _master(event: MasterChanged) -> str:
    unsure = ", to be confirmed" if event.provisional else ""
    told = f"{event.new} (epoch {event.epoch}{unsure})"
    if event.old is None:
        return f"the master is {told}"
    gap = "without a pause" if event.outage is None else f"after {event.outage:.3f} s"
    return f"failover {gap}: {event.old} -> {told}"
