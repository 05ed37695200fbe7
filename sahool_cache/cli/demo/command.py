"""
``sahool-cache demo``: its options, and what its end means to the shell.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from sahool_cache.cli.demo.report import Plain, Silent, document, plain_table, print_verdict
from sahool_cache.cli.demo.screen import MINIMUM_SIZE, picture
from sahool_cache.cli.demo.script import MINIMUM_SECONDS
from sahool_cache.cli.demo.show import Display, Outcome, run_show
from sahool_cache.cli.demo.stage import Frame
from sahool_cache.cli.demo.verdict import Verdict
from sahool_cache.cli.demo.words import opening
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.terminal import LiveScreen, can_draw
from sahool_cache.embedded import EmbeddedError, ServerNotFoundError

__all__ = ["demo"]

DEFAULT_SECONDS = 24.0
MAXIMUM_SECONDS = 600.0
"""The book of all calls is kept in memory: about 100 MB in this time."""


def demo(
    *,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Rough length of the whole; the faults are spread over it. It takes "
            f"{MINIMUM_SECONDS:.0f} at least; {MAXIMUM_SECONDS:.0f} at most.",
        ),
    ] = DEFAULT_SECONDS,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare", help="The same traffic through redis-py's Sentinel client."
        ),
    ] = True,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines of text; so it is anyway when piped.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Only the verdict, as one JSON document.")
    ] = False,
) -> int:
    """
    Shows a real group losing its master twice, live.

    Starts a master, two replicas and three sentinels; nothing else is needed.
    The master is killed (SIGKILL: "kill" in the JSON), the next one hangs
    (SIGSTOP: "hang"), and both come back. The same traffic goes through
    RedisClient and redis-py's Sentinel client. The exit status is 0 only if
    RedisClient lost no acknowledged write, failed no call that may be
    repeated, and ran none twice.
    """
    seconds = _check(seconds, plain=plain, as_json=as_json)
    console = Console(highlight=False)
    outcome, failure = Outcome(), None
    live = not (as_json or plain) and can_draw(console, MINIMUM_SIZE)
    if not as_json:
        _announce(console, opening(seconds, compare=compare), live=live)
    with _library_log() as records:
        try:
            with _display(console, live=live, silent=as_json) as display:
                asyncio.run(run_show(outcome, display, seconds=seconds, compare=compare))
        except ServerNotFoundError as error:
            print(f"sahool-cache: {error}", file=sys.stderr)
            return ExitStatus.USAGE
        except (EmbeddedError, TimeoutError) as error:
            failure = f"sahool-cache: the group failed: {error}"
        except KeyboardInterrupt:
            print("Interrupted; everything is stopped.", file=sys.stderr)
            return ExitStatus.INTERRUPTED
    for record, times in records.items():
        print(f"{record}\n({times} times)", file=sys.stderr)
    if failure:
        print(failure, file=sys.stderr)
    _tell(console, outcome, as_json=as_json, live=live)
    return _status(outcome.verdict, failed=failure is not None)


def _tell(console: Console, outcome: Outcome, *, as_json: bool, live: bool) -> None:
    if as_json:
        print(document(outcome.verdict))
    elif live:
        print_verdict(console, outcome.verdict, outcome.notes)
    else:
        print(plain_table(outcome.verdict))


def _check(seconds: float, *, plain: bool, as_json: bool) -> float:
    # "nan" is a float for Typer, and compares with nothing.
    if not 0 < seconds <= MAXIMUM_SECONDS:
        raise typer.BadParameter(
            f"--seconds must be more than 0 and at most {MAXIMUM_SECONDS:.0f}, not {seconds:g}"
        )
    if plain and as_json:
        raise typer.BadParameter("--plain and --json exclude one another")
    return max(seconds, MINIMUM_SECONDS)  # two failovers and two returns take that long


def _status(verdict: Verdict, *, failed: bool) -> ExitStatus:
    if failed:
        return ExitStatus.DOWN
    return ExitStatus.OK if verdict.passed else ExitStatus.DEGRADED


def _announce(console: Console, sentence: str, *, live: bool) -> None:
    if live:
        console.print(sentence)
    else:
        print(sentence, flush=True)


@contextmanager
def _display(console: Console, *, live: bool, silent: bool) -> Iterator[Display]:
    if live:
        screen: LiveScreen[Frame] = LiveScreen(console, picture, opening="starting a group ...")
        with screen:
            yield screen
    else:
        yield Silent() if silent else Plain()


@contextmanager
def _library_log() -> Iterator[Counter[str]]:
    """
    Keeps logging off the screen. What the library logs as an error is a bug, and is told later.
    """
    kept: Counter[str] = Counter()
    root = logging.getLogger()
    keeper = _Keeper(kept)
    root.addHandler(keeper)
    try:
        yield kept
    finally:
        root.removeHandler(keeper)


class _Keeper(logging.Handler):
    def __init__(self, kept: Counter[str]) -> None:
        super().__init__()
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and record.name.startswith("sahool_cache"):
            self._kept[f"{record.name}: {self.format(record)}"] += 1
