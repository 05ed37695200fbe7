"""
What a command tells the shell.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """
    The exit status of every command.
    """

    OK = 0
    """All is well."""

    DEGRADED = 1
    """It works, but not as it should; or the demo's verdict is "fail"."""

    DOWN = 2
    """Redis cannot be used."""

    USAGE = 64
    """The command line or the settings are wrong; nothing was done."""

    OUTPUT_LOST = 74
    """What was found could not be written, as on a full disk."""

    INTERRUPTED = 130
    """Ended by Ctrl-C."""

    PIPE_CLOSED = 141
    """Whoever read the output has gone, as in ``| head``."""
