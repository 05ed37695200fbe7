"""
Which acquisition of a lock is meant: that of the task that asks.
"""

from __future__ import annotations

from contextvars import ContextVar

from sahool_cache.recipes.locking.acquisition import Acquisition

__all__ = ["begun", "entered", "held"]

_OURS: ContextVar[tuple[Acquisition, ...]] = ContextVar("sahool_cache.locks", default=())
"""Newest last. A task that is started while a lock is held gets a copy: it has the lock as well."""


def begun(acquisition: Acquisition) -> Acquisition:
    """
    Makes it the running task's own, and forgets those that are over.
    """
    kept = (each for each in _OURS.get() if each.scope is not None or not each.over)
    _OURS.set((*(each for each in kept if each.lock() is not None), acquisition))
    return acquisition


def held(lock: object, all_of_it: set[Acquisition]) -> Acquisition | None:
    """
    The newest that the running task holds, or has lost; or else the only one there is whose own
    task has ended, as after a fixture that acquired it. One that was lost counts if all were.
    """
    for each in reversed(_OURS.get()):
        if each.held and each.lock() is lock:
            return each
    orphans = [each for each in all_of_it if each.held and each.orphaned]
    orphans = [each for each in orphans if not each.lost] or orphans
    return orphans[0] if len(orphans) == 1 else None


def entered(lock: object, all_of_it: set[Acquisition]) -> Acquisition | None:
    """
    The newest whose `async with` the running task is in, also when the lock was given back in it.
    """
    ours = [each for each in _OURS.get() if each.scope is not None and each.lock() is lock]
    orphans = [each for each in all_of_it if each.scope is not None and each.orphaned]
    found = ours or orphans
    return found[-1] if found else None
