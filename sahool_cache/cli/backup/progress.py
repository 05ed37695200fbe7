"""
Progress bars, for who sits at a terminal.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from sahool_cache.cli.answer import screen

__all__ = ["Bar", "Bytes", "Count"]


class Bar:
    """
    One bar on standard error, which is gone at the end; nothing where nobody looks.
    """

    def __init__(self, title: str, *columns: ProgressColumn, hidden: bool) -> None:
        console = screen(errors=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=hidden or not console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, total: int | None) -> None:
        """
        How much is done, and of how much where that is known.
        """
        self._progress.update(self._task, completed=done, total=total)


class Bytes(Bar):
    """
    A bar of bytes.
    """

    def __init__(self, title: str, *, hidden: bool) -> None:
        super().__init__(title, DownloadColumn(), TransferSpeedColumn(), hidden=hidden)


class Count(Bar):
    """
    A bar of things.
    """

    def __init__(self, title: str, *, hidden: bool) -> None:
        super().__init__(title, MofNCompleteColumn(), hidden=hidden)
