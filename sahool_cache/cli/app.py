"""
The command line: every command in one list, and what their results mean to the shell.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import typer

from sahool_cache.cli.bench.command import bench
from sahool_cache.cli.demo.command import demo
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.explain import explain
from sahool_cache.cli.failover.command import failover_test
from sahool_cache.cli.health import health

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, Callable[..., int]] = {
    "health": health,
    "failover-test": failover_test,
    "bench": bench,
    "explain": explain,
    "demo": demo,
}
"""The whole command line, in the order of ``--help``: name -> function that returns its status."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs one command and returns its exit status, see `ExitStatus`.
    """
    # What the library logs is in the answers; without a handler Python would print it among them.
    logging.getLogger("sahool_cache").addHandler(logging.NullHandler())
    command = typer.main.get_command(_application())
    try:
        status = command.main(argv, prog_name="sahool-cache", standalone_mode=False)
    except typer.TyperException as wrong:
        print(f"sahool-cache: {wrong.format_message()}", file=sys.stderr)
        print("Try: sahool-cache --help", file=sys.stderr)
        return ExitStatus.USAGE
    except typer.Abort:
        return ExitStatus.INTERRUPTED
    return ExitStatus.OK if status is None else int(status)


def _application() -> typer.Typer:
    application = typer.Typer(
        add_completion=False,
        # a drawn traceback would hide the plain one, and may show values
        pretty_exceptions_enable=False,
    )
    application.callback(invoke_without_command=True)(_root)
    for name, command in COMMANDS.items():
        application.command(name)(command)
    return application


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sahool-cache {version('sahool-cache')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    _version: bool = typer.Option(
        False,  # noqa: FBT003 (Typer takes the default by position)
        "--version",
        help="Show the version and exit.",
        callback=_show_version,
        is_eager=True,
    ),
) -> None:
    """
    Works with a Redis group that Sentinel keeps highly available.
    """
    if context.invoked_subcommand is None:
        raise typer.TyperException("no command was given")
