"""
The command line: every command in one list, and what their results mean to the shell.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import typer

from sahool_cache.cli.backup.command import backup
from sahool_cache.cli.bench.command import bench
from sahool_cache.cli.demo.command import demo
from sahool_cache.cli.doctor.command import doctor
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.explain import explain
from sahool_cache.cli.failover.command import failover_test
from sahool_cache.cli.health import health
from sahool_cache.cli.keys import keys
from sahool_cache.cli.restore.command import restore
from sahool_cache.cli.status.command import status
from sahool_cache.cli.topology import topology
from sahool_cache.cli.values.command import get_value, set_value
from sahool_cache.cli.watch.command import watch

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, Callable[..., int]] = {
    "health": health,
    "status": status,
    "topology": topology,
    "watch": watch,
    "doctor": doctor,
    "failover-test": failover_test,
    "bench": bench,
    "backup": backup,
    "restore": restore,
    "explain": explain,
    "keys": keys,
    "get": get_value,
    "set": set_value,
    "demo": demo,
}
"""The whole command line, in the order of ``--help``: name -> function that returns its status."""

_PANELS = {
    "Look": ("health", "status", "topology", "watch", "doctor", "explain"),
    "Read and write": ("keys", "get", "set"),
    "Operate": ("failover-test", "backup", "restore", "rolling-upgrade"),
    "Try": ("demo", "bench"),
}
"""How ``--help`` groups them; what is in none comes last."""

_STDOUT = 1


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs one command and returns its exit status, see `ExitStatus`.
    """
    # What the library logs is in the answers; without a handler Python would print it among them.
    logging.getLogger("sahool_cache").addHandler(logging.NullHandler())
    try:
        status = _run(argv)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as ended:
        # Typer and rich both make an exit of it.
        if BrokenPipeError not in {type(ended), type(ended.__context__)}:
            raise
        # What is left in the buffer goes nowhere, instead of failing once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        return ExitStatus.PIPE_CLOSED
    return status


def _run(argv: Sequence[str] | None) -> int:
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
    panel_of = {name: panel for panel, names in _PANELS.items() for name in names}
    for name, command in COMMANDS.items():
        application.command(name, rich_help_panel=panel_of.get(name, "More"))(command)
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
