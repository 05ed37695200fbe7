"""
Who is who in the group: an immutable snapshot, and the order in which snapshots supersede.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sahool_cache.address import Address

__all__ = ["Topology"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """
    The group as it was last verified.

    `epoch` is Sentinel's config-epoch. A `provisional` master was promoted, and said so itself,
    but no config-epoch has confirmed it yet. `replicas` are all that are known, `in_rotation`
    those fit to be read now. Addresses are the ones that the client connects to.
    """

    master: Address | None = None
    replicas: tuple[Address, ...] = ()
    in_rotation: tuple[Address, ...] = ()
    sentinels: tuple[Address, ...] = ()
    epoch: int = 0
    provisional: bool = False

    @property
    def order(self) -> tuple[int, bool]:
        """
        The place in the order of snapshots: a provisional one comes after the epoch it leaves
        and before every later one.
        """
        return self.epoch, self.provisional

    def promoted(self, replica: Address) -> Topology:
        """
        The snapshot after following that replica's promotion before an epoch confirms it.
        """
        others = {self.master, *self.replicas} - {None, replica}
        return replace(
            self,
            master=replica,
            replicas=tuple(sorted(each for each in others if each is not None)),
            in_rotation=(),
            provisional=True,
        )

    def __str__(self) -> str:
        mark = "?" if self.provisional else ""
        replicas = ", ".join(map(str, self.replicas)) or "none"
        return f"epoch {self.epoch}{mark}: master {self.master}, replicas {replicas}"
