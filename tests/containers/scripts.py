"""
A compose group and the scripts beside its file, in a checkout of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers.compose_group import (
    FILE,
    TLS_FILE,
    ComposeGroup,
    compose_group,
    copy_compose,
)
from tests.docker import run
from tests.house import ROOT

__all__ = ["Scripts", "locked_scripts", "open_scripts"]


class Scripts:
    """
    Runs them as an operator does, against the group that they belong to.
    """

    def __init__(self, group: ComposeGroup) -> None:
        self.group = group

    def __call__(
        self, name: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        here = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        return subprocess.run(
            [str(self.group.directory / name), *arguments],
            capture_output=True,
            check=False,
            env=self.group.environment | here | variables,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=280,
        )


@contextmanager
def open_scripts(checkout: Path) -> Iterator[Scripts]:
    """
    Those of a group for which nothing is set but a password.
    """
    copy_compose(checkout / "compose")
    group = ComposeGroup(directory=checkout / "compose")
    with compose_group(group):
        yield Scripts(group)


@contextmanager
def locked_scripts(checkout: Path) -> Iterator[Scripts]:
    """
    Those of a group with TLS, certificates of clients, users with passwords in files, and none
    without a name. All that is set stands in the `.env` of the checkout.
    """
    directory = checkout / "compose"
    copy_compose(directory)
    for name in ("redis_password", "redis_admin_password"):
        (directory / "secrets" / name).write_text(f"the {name}\n", encoding="utf-8")
        (directory / "secrets" / name).chmod(0o640)  # of a group that the containers are given
    said = {
        "REDIS_TLS": "true",
        "REDIS_CLIENT_CERTIFICATES": "yes",
        "REDIS_DEFAULT_USER": "off",
        "REDIS_SECRETS_GROUP": str(os.getgid()),
    }
    (checkout / ".env").write_text("".join(f"{name}={said[name]}\n" for name in said))
    client = directory / "tls" / "client"
    group = ComposeGroup(
        directory=directory,
        files=(FILE, TLS_FILE),
        variables={"REDIS_PASSWORD": "", "REDIS_SECRETS": ""},
        admin={
            "username": "sahool-admin",
            "password": "the redis_admin_password",
            "host": "127.0.0.1",
            "ssl": True,
            "ssl_ca_certs": str(client / "ca.crt"),
            "ssl_certfile": str(client / "client.crt"),
            "ssl_keyfile": str(client / "client.key"),
        },
    )
    run(str(directory / "make-certificates.sh"), env=group.environment | said)
    group.variables |= said
    with compose_group(group):
        for name in said:  # set to nothing, they would hide what stands in the `.env`
            del group.variables[name]
        yield Scripts(group)
        group.variables |= said
