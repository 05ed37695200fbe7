"""
The dashboard and its provisioning as files; test_live.py asks its queries.
"""

from __future__ import annotations

import re

from tests.house import ROOT
from tests.monitoring import dashboard

COMPOSE = (ROOT / "compose" / "docker-compose.redis-ha.yml").read_text(encoding="utf-8")
GRAFANA = ROOT / "compose" / "grafana"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard.DASHBOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_panel_asks_the_data_source_that_is_chosen() -> None:
    (name,) = [
        each["name"]
        for each in dashboard.DASHBOARD["templating"]["list"]
        if each["type"] == "datasource"
    ]
    for panel in dashboard.panels():
        for asker in (panel, *panel["targets"]):
            assert asker["datasource"] == {"type": "prometheus", "uid": f"${{{name}}}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert sorted(set(letters)) == letters


def test_titles_are_given_once() -> None:
    titles = [panel["title"] for panel in dashboard.DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)


def test_grafana_finds_the_dashboard_and_prometheus_where_compose_puts_them() -> None:
    provider = (GRAFANA / "provisioning" / "dashboards" / "redis.yml").read_text(encoding="utf-8")
    (folder,) = re.findall(r"path: (\S+)\}", provider)
    assert f"./grafana/dashboards:{folder}:ro" in COMPOSE
    assert f"HOME_DASHBOARD_PATH: {folder}/{dashboard.FILE.name}\n" in COMPOSE
    assert "./grafana/provisioning:/etc/grafana/provisioning:ro" in COMPOSE
    source = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
    assert "url: http://prometheus:9090\n" in source.read_text(encoding="utf-8")
    assert "\n  prometheus:\n" in COMPOSE
