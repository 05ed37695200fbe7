"""
`compose/test-failover.sh` on a group that lets nobody in by mistake: a container is stopped, or
nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.containers.compose_group import SERVERS
from tests.containers.scripts import Scripts, locked_scripts
from tests.docker import docker

pytestmark = [pytest.mark.container, pytest.mark.slow]

SCRIPT = "test-failover.sh"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    with locked_scripts(tmp_path_factory.mktemp("checkout")) as run:
        yield run


def measured(run: Scripts, *options: str) -> dict[str, Any]:
    done = run(SCRIPT, *options, "--yes", "--json", "--seconds", "1", REDIS_COMMAND_TIMEOUT="30")
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, told["problems"]) == (0, []), done.stderr
    assert told["old"] != told["new"]
    assert told["doubled"] == 0
    return told


def states() -> set[str]:
    return set(docker("inspect", "--format", "{{.State.Status}}", *SERVERS).splitlines())


def test_health_is_asked_with_the_groups_own_secrets(run: Scripts) -> None:
    done = run("health-check.sh")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "✓ healthy"), done.stderr


def test_the_masters_container_is_stopped_and_started_again(run: Scripts) -> None:
    before = docker("inspect", "--format", "{{.State.StartedAt}}", SERVERS[0])
    told = measured(run, "--max-outage", "30")
    assert told["old"] == "127.0.0.1:6379"
    assert set(told["errors"]) <= {"OutcomeUnknownError"}, "repeatable calls do not fail"
    assert told["longest_pause"]["writes"] > 3, "down-after is five seconds"
    assert states() == {"running"}
    assert docker("inspect", "--format", "{{.State.StartedAt}}", SERVERS[0]) != before


def test_a_planned_failover_costs_no_error_and_no_write(run: Scripts) -> None:
    told = measured(run, "--planned", "--max-errors", "0", "--max-lost", "0")
    assert told["longest_pause"]["writes"] < 5
    assert states() == {"running"}


def test_nothing_is_stopped_unless_somebody_agrees(run: Scripts) -> None:
    done = run(SCRIPT)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--container stop 6" in done.stderr
    assert states() == {"running"}
