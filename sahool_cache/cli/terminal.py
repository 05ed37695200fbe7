"""
A picture that is drawn again and again, on the terminal's other screen.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

__all__ = ["LiveScreen", "can_draw"]

F = TypeVar("F")

_REFRESHES = 8
_TERMINATED = 128 + signal.SIGTERM
_SWITCH_INTERVAL = 0.0005


def can_draw(console: Console, minimum: tuple[int, int]) -> bool:
    """
    Whether a terminal is there that has so many columns and lines.
    """
    columns, lines = minimum
    return (
        sys.stdout.isatty()
        and not console.is_dumb_terminal
        and console.encoding.startswith("utf")
        and console.width >= columns
        and console.height >= lines
    )


def _end(*_signal: object) -> None:
    raise SystemExit(_TERMINATED)


class LiveScreen(Generic[F]):
    """
    Draws ``picture(frame, width=, height=)`` of the newest frame, while it is open.

    It draws in a thread of its own, to which the event loop yields for half a millisecond at a
    time: a picture must not show in the latencies that are on it. SIGTERM, too, leaves the
    terminal as it was.
    """

    def __init__(
        self, console: Console, picture: Callable[..., RenderableType], *, opening: str
    ) -> None:
        self._console = console
        self._draw = picture
        self._opening = opening
        self._frame: F | None = None
        self._interval = sys.getswitchinterval()
        self._on_sigterm: Any = signal.SIG_DFL
        self._live = Live(
            console=console,
            screen=True,
            get_renderable=self._picture,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._on_sigterm = signal.signal(signal.SIGTERM, _end)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        sys.setswitchinterval(self._interval)

    def note(self, note: Any) -> None:
        """
        Does nothing: the notes are in the next frame.
        """

    def show(self, frame: F) -> None:
        """
        Makes this frame the newest.
        """
        self._frame = frame

    def _picture(self) -> RenderableType:
        if self._frame is None:
            return Text(self._opening, style="dim")
        width, height = self._console.size
        return self._draw(self._frame, width=width, height=height)
