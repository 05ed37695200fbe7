"""
The users of the compose group have the rights that docs/rights.md gives their roles.
"""

from __future__ import annotations

import re

import pytest

from tests.house import ROOT
from tests.security.roles import LINES

SAME = {
    ("servers", "sahool-app"): "application",
    ("servers", "sahool-replication"): "replication",
    ("servers", "sahool-sentinel"): "sentinel",
    ("servers", "sahool-monitoring"): "monitoring",
    ("servers", "sahool-backup"): "backup",
    ("sentinels", "sahool-app"): "client",
    ("sentinels", "sahool-sentinel"): "peer",
    ("sentinels", "sahool-monitoring"): "monitoring-sentinels",
    ("sentinels", "sahool-backup"): "client",
}


def rules(text: str) -> set[str]:
    return {word for word in text.split() if not word.startswith((">", "#"))}


@pytest.mark.parametrize(("on", "user"), SAME)
def test_a_user_has_the_rights_of_its_role(on: str, user: str) -> None:
    file = (ROOT / "compose" / "redis" / f"{on}.acl").read_text()
    found = re.search(rf"^user {user} (.+)$", file, re.MULTILINE)
    assert found is not None
    assert rules(found[1]) == rules(LINES[SAME[on, user]])
