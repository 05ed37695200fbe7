"""
When what the sentinels say is believed over the snapshot that we have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sahool_cache.address import Address
from sahool_cache.routing.discovery import SentinelView
from sahool_cache.routing.topology import Topology

__all__ = ["Belief"]

DISSENT_LASTS = 5.0
"""Seconds that a majority must name another master of no newer epoch, to be believed."""


class Belief:
    """
    A newer config-epoch always wins. `disowned` says that our master itself says it is none.

    The same epoch or an older one, and another master: the group was set up anew, or the
    promotion that we followed early came to nothing. That is believed when all who answer agree,
    they are a majority, and either our master is disowned, or everybody answered, or it has
    stayed so for long: in between a sentinel may just be slow to tell.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.disowned = False
        self._now = now
        self._dissent_since: float | None = None

    def settle(self) -> None:
        """
        Forgets old doubts: the snapshot and the sentinels agree.
        """
        self.disowned = False
        self._dissent_since = None

    def supersedes(
        self,
        view: SentinelView,
        current: Topology,
        views: Mapping[Address, SentinelView],
        *,
        known: int,
    ) -> bool:
        """
        Whether `view`, the newest of all `views`, is to be followed, if its master agrees;
        `known` is the number of sentinels there are.
        """
        if current.master is None or (view.epoch, False) > current.order:
            return True
        told = views.values()
        agreed = all((each.master, each.epoch) == (view.master, view.epoch) for each in told)
        if not agreed or 2 * len(told) <= known:
            self._dissent_since = None
            return False
        if self._dissent_since is None:
            self._dissent_since = self._now()
        if self.disowned or (len(told) == known and not current.provisional):
            return True
        lasting = self._now() - self._dissent_since >= DISSENT_LASTS
        return lasting and not any("failover_in_progress" in each.flags for each in told)
