"""
The rules as promtool judges them: without a server, and on a clock of its own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.monitoring.programs import path

PROMETHEUS = ROOT / "compose" / "prometheus"
ALERTS = (PROMETHEUS / "rules" / "alerts.yml").read_text(encoding="utf-8")
NAMES = re.findall(r"- alert: (\w+)", ALERTS)
COURSES = sorted((Path(__file__).parent / "alerts").glob("*.yml"))


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        (path("promtool"), *arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.monitoring
def test_the_configuration_and_its_rules_are_valid() -> None:
    found = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert "2 rule files found" in found
    assert f"alerts.yml\n  SUCCESS: {len(NAMES)} rules found" in found


@pytest.mark.monitoring
@pytest.mark.parametrize("file", COURSES, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    courses = "".join(file.read_text(encoding="utf-8") for file in COURSES)
    assert re.search(rf"alertname: {name}, exp_alerts: \[\]", courses)
    assert re.search(rf"alertname: {name}\n +exp_alerts:\n +- exp_labels", courses)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    rule = re.split(r"- alert: ", ALERTS)[1 + NAMES.index(name)]
    assert re.search(r"severity: (critical|warning|info)\}", rule)
    assert re.search(r"^ +for: \d+[sm]$", rule, re.MULTILINE)
    assert re.search(r'summary: "\S', rule)
    assert re.search(r'description: "\S', rule)
    assert f"runbook_url: docs/alerts.md#{name.lower()}\n" in rule


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    runbooks = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sorted(runbooks) == sorted(NAMES)
    for name in NAMES:
        section = re.split(rf"^### {name}$", page, flags=re.MULTILINE)[1].split("\n##")[0]
        for word in ("**Means:**", "**Look:**", "**Mend:**"):
            assert word in section, f"{name} has no {word}"
        rule = ALERTS.split(f"- alert: {name}\n")[1].split("- alert:")[0]
        severity = section.split("*")[1].strip(".").lower()
        assert f"severity: {severity}}}" in rule, f"{name} is not {severity}"
