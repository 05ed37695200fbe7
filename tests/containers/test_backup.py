"""
`compose/backup_redis.sh` and `compose/restore_redis.sh` against the compose group: with one
password for everything, and with all that it can be locked with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.containers.compose_group import PASSWORD, SERVER_PORTS
from tests.containers.scripts import Scripts, locked_scripts, open_scripts

pytestmark = pytest.mark.container

KEYS = 1001
# A user of its own takes the backups, whose right ends there; the administrator restores them.
TAKER = {
    "REDIS_USERNAME": "sahool-backup",
    "REDIS_PASSWORD": "the redis_password",
    "REDIS_SENTINEL_USERNAME": "sahool-backup",
    "REDIS_SENTINEL_PASSWORD": "the redis_password",
}


@pytest.fixture(scope="module", params=["open", "locked"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scripts, Mapping[str, str]]]:
    checkout = tmp_path_factory.mktemp("checkout")
    if request.param == "open":
        with open_scripts(checkout) as run:
            yield run, {}
    else:
        with locked_scripts(checkout) as run:
            yield run, TAKER


def test_what_was_backed_up_comes_back(
    site: tuple[Scripts, Mapping[str, str]], tmp_path: Path
) -> None:
    run, taker = site
    ask = run.group.ask

    def told(script: str, *options: str, **variables: str) -> Any:
        done = run(script, "--json", *options, BACKUP_DIR=str(tmp_path), **variables)
        assert done.returncode == 0, done.stderr + done.stdout
        for secret in (PASSWORD, TAKER["REDIS_PASSWORD"]):
            assert secret not in done.stderr + done.stdout
        return json.loads(done.stdout)

    ask(6379, "MSET", *(word for n in range(KEYS - 1) for word in (f"backed up {n}", n)))
    ask(6379, "SET", "backed up", "then", "EX", 3600)
    deadline = time.monotonic() + 30
    while any(ask(port, "DBSIZE") != KEYS for port in SERVER_PORTS):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    taken = told("backup_redis.sh", **taker)
    assert (taken["role"], taken["master_name"]) == ("replica", "sahool-master")
    assert taken["server"] in {"127.0.0.1:6380", "127.0.0.1:6381"}, "through the address map"
    checked = told("restore_redis.sh", "--check")
    assert checked["sidecar"]["sha256"] == taken["sha256"]

    ask(6379, "DEL", *(f"backed up {n}" for n in range(KEYS - 1)))
    ask(6379, "SET", "backed up", "now")
    restored = told("restore_redis.sh", "--flush", "--yes", "--compare-all")
    assert restored["copied"] == taken["keys"] == KEYS
    assert (restored["confirmed"], restored["extra"]) == (2, 0)
    assert ask(6379, "GET", "backed up") == "then"
    assert 3500 < ask(6379, "TTL", "backed up") <= 3600
    assert run.group.refusals() == []
