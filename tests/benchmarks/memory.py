"""
Whether the client's memory stays flat over very many commands.
"""

from __future__ import annotations

from tests.benchmarks.bars import GROWN
from tests.benchmarks.model import OURS, Cell

__all__ = ["COMMANDS", "memory_cell"]

COMMANDS = 10_000_000
_ROUNDS = 10


def memory_cell(commands: int = COMMANDS) -> Cell:
    """
    That many GET by 100 tasks, in ten rounds: the first of them is when everything gets its size.
    """
    return Cell(work=GROWN, client=OURS, tasks=100, commands=commands, rounds=_ROUNDS, warm_up=0.1)
