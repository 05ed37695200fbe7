"""
Where no network of hosts can be made, the reason is said; these tests need no root.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.chaos import network


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """
    A machine that has all it takes, as far as it says; the folder holds its programs.
    """
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool in network._TOOLS:
        program(tmp_path, tool, "exit 0")
    return tmp_path


def program(place: Path, name: str, text: str) -> None:
    path = place / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_nothing_is_missing_where_the_trial_works(capable: Path) -> None:
    assert network.why_no_network() is None


def test_other_systems_have_no_namespaces(capable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert network.why_no_network() == "network namespaces exist on Linux only"


def test_root_is_needed(capable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert network.why_no_network() == "network namespaces need root"


def test_a_missing_program_is_named(capable: Path) -> None:
    (capable / "ip").unlink()
    assert network.why_no_network() == "not installed: ip"


def test_a_trial_that_fails_is_quoted(capable: Path) -> None:
    program(capable, "unshare", "echo 'unshare: Operation not permitted' >&2; exit 1")
    assert network.why_no_network() == (
        "network namespaces do not work here: unshare: Operation not permitted"
    )
