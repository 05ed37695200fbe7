from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from sahool_cache.cli.status.figures import server_figures
from sahool_cache.cli.status.picture import picture
from sahool_cache.cli.survey import read_sections, take_survey
from sahool_cache.cli.units import count, size, span
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli
from tests.cli.terminal import Terminal


def test_a_group_in_order_has_a_line_to_each_server(
    calm_group: EmbeddedSentinel, here: Cli
) -> None:
    done = here("status", settings=calm_group.settings)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "✓ sahool-master is healthy: epoch 0, no failover so far",
        "✓ 3 of 3 sentinels answer, the quorum is 2",
    ]
    rows = {line.split()[1]: line.split() for line in lines if "127.0.0.1" in line}
    assert rows.keys() == {str(node.address) for node in (calm_group.master, *calm_group.replicas)}
    assert rows[str(calm_group.master.address)][:3] == [
        "✓",
        str(calm_group.master.address),
        "master",
    ]
    assert sum(row[2] == "replica" for row in rows.values()) == 2
    assert "\x1b" not in done.stdout


@pytest.mark.asyncio
async def test_all_of_it_fits_80_columns() -> None:
    async with EmbeddedSentinel(down_after=60, server_config={"maxmemory": "64mb"}) as group:
        survey = await take_survey(group.settings, 10)
        figures = [server_figures(survey, word) for word in survey.servers]
        out = io.StringIO()
        Console(file=out, width=80).print(picture(survey, figures, verbose=True))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    assert len([line for line in lines if line.startswith("✓ 127.0.0.1")]) == 3, "none is wrapped"
    assert sum("/64M" in line for line in lines) == 3


def test_verbose_tells_five_sections_and_json_holds_them_whole(
    calm_group: EmbeddedSentinel, here: Cli
) -> None:
    told = here("status", "-v", settings=calm_group.settings).stdout
    for section in ("memory", "stats", "clients", "replication", "cpu"):
        assert told.count(f"\n  {section} ") == 3
    done = here("status", "--verbose", "--json", settings=calm_group.settings)
    servers = json.loads(done.stdout)["servers"]
    assert [each["role"] for each in servers] == ["master", "replica", "replica"]
    for server in servers:
        info = server["info"]
        assert info.keys() == {"memory", "stats", "clients", "replication", "cpu"}
        assert info["memory"]["used_memory"] == server["used_memory"] > 0
        assert isinstance(info["cpu"]["used_cpu_user"], float)
        assert isinstance(info["memory"]["mem_allocator"], str)
        assert server["offset"] > 0
    assert servers[0]["lag_bytes"] is None
    assert all(each["lag_bytes"] is not None for each in servers[1:])


@pytest.mark.asyncio
async def test_a_failover_is_told_with_its_time(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        new = await group.wait_for_failover(await group.failover())
        done = here("status", "--json", "--within", "1", settings=group.settings)
        found = json.loads(done.stdout)
        assert found["servers"][0]["address"] == str(new.address)
        assert found["last_failover"]["epoch"] == found["epoch"] == 1
        assert 0 <= found["last_failover"]["seconds_ago"] < 60


@pytest.mark.asyncio
async def test_those_who_do_not_answer_are_shown_with_the_reason(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        dead, master = group.replicas[0], group.master
        await group.kill(dead)
        await group.kill(group.sentinels[2])
        done = here("status", "--within", "1", settings=group.settings)
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert lines[0].startswith("! sahool-master is degraded")
        assert f"! {dead.address} replica: connection refused" in lines
        lost = f"! sentinel {group.sentinels[2].address}: connection refused"
        assert lost in lines

        await group.pause(master)
        done = here("status", "--within", "0.5", settings=group.settings)
        assert (done.returncode, done.stderr) == (2, "")
        assert f"✗ {master.address} master: no answer in time" in done.stdout.splitlines()

        for node in (master, group.replicas[1], *group.sentinels[:2]):
            await group.kill(node)
        done = here("status", "--json", "--within", "0.5", settings=group.settings)
        found = json.loads(done.stdout)
        assert (done.returncode, found["status"], found["servers"]) == (2, "unhealthy", [])
        assert [each["why"] for each in found["sentinels"]] == ["connection refused"] * 3


@pytest.mark.asyncio
async def test_a_server_that_refuses_info_is_not_called_dead(here: Cli) -> None:
    async with EmbeddedSentinel(down_after=60) as group:
        for node in (group.master, *group.replicas):
            await group.command(
                node, "ACL", "SETUSER", "looker", "on", ">pw", "~*", "+@all", "-info"
            )
        url = f"redis+sentinel://looker:pw@{group.sentinels[0].address}/sahool-master"
        done = here("status", "--within", "2", "--url", url)
        assert "pw@" not in done.stdout + done.stderr
        refusal = f"! {group.master.address} master: refuses INFO: "
        assert any(line.startswith(refusal) for line in done.stdout.splitlines()), done.stdout


def test_at_a_terminal_there_is_colour_unless_no_color_is_set(
    calm_group: EmbeddedSentinel, tmp_path: Path
) -> None:
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with Terminal("status", cwd=tmp_path, settings=calm_group.settings, **variables) as tty:
            assert tty.ended() == 0
            tty.wait_for("version")
            tty.wait_for(str(calm_group.replicas[1].address))
            assert ("\x1b[32m" in tty.output) is coloured


def test_info_is_read_by_section_with_numbers_as_numbers() -> None:
    text = "# Server\r\nversion:8.0.1\r\nuptime:12\r\nid:00012\r\n\r\n# CPU\r\nsys:1.5\r\nx:a:b\r\n"
    assert read_sections(text) == {
        "server": {"version": "8.0.1", "uptime": 12, "id": 12},
        "cpu": {"sys": 1.5, "x": "a:b"},
    }


def test_figures_are_short() -> None:
    assert [size(each) for each in (0, 999, 1024, 1536, 150 * 1024, 64 << 20, 5 << 40)] == [
        *("0B", "999B", "1.0K", "1.5K", "150K", "64M", "5.0T"),
    ]
    assert [span(each) for each in (0.4, 59.9, 60, 3599, 7200, 200_000)] == [
        *("0s", "59s", "1m", "59m", "2h", "2d"),
    ]
    assert [count(each) for each in (0, 9999, 12_345, 999_499, 2_500_000)] == [
        *("0", "9999", "12k", "999k", "2.5m"),
    ]
