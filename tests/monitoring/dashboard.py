"""
The queries of the dashboard, as Grafana would send them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.house import ROOT

FILE = ROOT / "compose" / "grafana" / "dashboards" / "redis-ha.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CHOSEN = {"group": "sahool", "instance": ".*", "process": ".*"}
"""What the variables are set to when the dashboard is opened."""


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """
    Every expression, under the title of its panel and its letter there.
    """
    found = {
        f"{panel['title']} {target['refId']}": filled(target["expr"])
        for panel in panels()
        for target in panel["targets"]
    }
    for each in DASHBOARD["annotations"]["list"]:
        found[f"annotation {each['name']}"] = filled(each["expr"])
    return found


def variables() -> dict[str, tuple[str, str]]:
    """
    The metric and the label whose values each variable offers.
    """
    found = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            parts = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert parts, variable
            found[variable["name"]] = filled(parts[1]), parts[2]
    return found


def filled(expr: str) -> str:
    for name, value in CHOSEN.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, expr
    return expr
