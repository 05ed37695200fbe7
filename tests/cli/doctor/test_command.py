from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console

from sahool_cache import RedisSettings
from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.cli.doctor.report import told
from sahool_cache.cli.doctor.survey import survey
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli
from tests.cli.doctor.groups import (
    PASSWORD,
    SENTINEL_PASSWORD,
    look,
    names,
    well_kept,
)

KEYS = {"check", "severity", "server", "found", "why", "mend"}


def document(done: Any) -> dict[str, Any]:
    """
    The one document of a run, from which no password is to be learned.
    """
    assert done.stderr == ""
    assert PASSWORD not in done.stdout
    assert SENTINEL_PASSWORD not in done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.keys() == {"status", "findings", "checked", "skipped"}
    assert all(each.keys() == KEYS for each in found["findings"])
    assert all(each.keys() == {"check", "why"} for each in found["skipped"])
    return found


def test_a_group_that_is_well_kept_ends_with_0(kept_group: EmbeddedSentinel, cli: Cli) -> None:
    secret = {"REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
    done = cli("doctor", settings=kept_group.settings, **secret)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("✓ nothing is wrong\n")
    found = document(cli("doctor", "--json", settings=kept_group.settings, **secret))
    assert (found["status"], found["findings"]) == ("healthy", [])
    assert not {each["check"] for each in found["skipped"]} & set(found["checked"])


def test_findings_end_with_1_and_say_how_to_mend(calm_group: EmbeddedSentinel, here: Cli) -> None:
    done = here("doctor", settings=calm_group.settings)
    assert (done.returncode, done.stderr) == (1, "")
    servers = f"{calm_group.master.address}, "
    assert f"min-replicas  {servers}" in done.stdout, "said once for all servers"
    assert "To mend: `CONFIG SET min-replicas-to-write 1`" in done.stdout
    done = here("doctor", "--json", settings=calm_group.settings)
    assert (done.returncode, document(done)["status"]) == (1, "degraded")
    told = [each["server"] for each in json.loads(done.stdout)["findings"]]
    assert told.count(str(calm_group.master.address)) >= 3, "a program is told of each server"


def test_a_wrong_password_ends_with_2(kept_group: EmbeddedSentinel, here: Cli) -> None:
    wrong = kept_group.settings.model_copy(update={"password": "wrong-pw"})
    for secret, check in ((SENTINEL_PASSWORD, "login"), ("wrong-pw", "master-known")):
        done = here("doctor", "--json", settings=wrong, REDIS_SENTINEL_PASSWORD=secret)
        found = document(done)
        assert (done.returncode, found["status"]) == (2, "unhealthy")
        assert check in {each["check"] for each in found["findings"]}
        assert "wrong-pw" not in done.stdout


def test_wrong_settings_are_usage_errors(here: Cli) -> None:
    done = here("doctor", "--json")
    assert (done.returncode, done.stdout) == (64, "")
    assert "no sentinel is given" in done.stderr


@pytest.mark.asyncio
async def test_whoever_hangs_does_not_hold_up_the_rest(here: Cli) -> None:
    async with well_kept(down_after=60.0) as group:
        await group.pause(group.master)
        await group.pause(group.sentinels[0])
        await group.kill(group.replicas[0])
        began = time.monotonic()
        secret = {"REDIS_SENTINEL_PASSWORD": SENTINEL_PASSWORD}
        done = here("doctor", "--json", "--within", "6", settings=group.settings, **secret)
        took = time.monotonic() - began
        found = document(done)
        assert (done.returncode, found["status"]) == (2, "unhealthy")
        assert took < 6 + 6, "the bound, on a busy machine"
        at = {each["server"]: each for each in found["findings"]}
        assert "does not answer" in at[str(group.master.address)]["found"]
        assert at[str(group.sentinels[0].address)]["check"] == "sentinel-down"
        assert at[str(group.replicas[0].address)]["check"] == "server-down"
        assert sum(each["check"] == "*" for each in found["skipped"]) == 3


@pytest.mark.asyncio
async def test_a_group_of_which_nothing_is_left_ends_with_2(here: Cli) -> None:
    async with EmbeddedSentinel() as group:
        settings = group.settings
    done = here("doctor", "--json", "--within", "3", settings=settings)
    found = document(done)
    assert (done.returncode, found["status"]) == (2, "unhealthy")
    assert {each["check"] for each in found["findings"]} == {"sentinel-down", "master-known"}
    assert {"check": "failover-possible", "why": "no sentinel answers"} in found["skipped"]
    assert found["findings"][0]["found"] == "this sentinel cannot be asked: connection refused"


FEW = ("+@all", "-config", "-time", "-slowlog", "-acl", "-role", "-wait")


@pytest.mark.asyncio
async def test_what_a_user_may_not_ask_is_skipped_with_the_right_that_it_takes() -> None:
    async with well_kept() as group:
        for server in (group.master, *group.replicas):
            await group.command(server, "ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", *FEW)
        for sentinel in group.sentinels:
            rules = ("+@all", "-psubscribe", "-sentinel|ckquorum")
            await group.command(sentinel, "ACL", "SETUSER", "app", "on", ">pw", "&*", *rules)
        update = {"sentinel_username": "app", "sentinel_password": "pw", "username": "app"}
        settings = group.settings.model_copy(update=update | {"password": "pw"})
        found = diagnose(await look(settings), CHECKS)
    assert (names(found), found.status) == ({"rights"}, 1)
    told = {finding.found: finding for _, finding in found.findings}
    assert told["ROLE is refused by an ACL"].severity == "warning"
    assert told["ROLE is refused by an ACL"].mend.startswith("`ACL SETUSER <the user of")
    assert told["WAIT is refused by an ACL"].severity == "hint", "nobody may need it"
    assert "PSUBSCRIBE is refused by an ACL" in told
    reasons = {each.check: each.why for each in found.skipped}
    for check, right in (
        ("min-replicas", "+config|get"),
        ("slow-commands", "+slowlog|get"),
        ("clock", "+time"),
        ("no-password", "+acl|getuser"),
        ("failover-possible", "+sentinel|ckquorum"),
    ):
        assert right in reasons[check]
        assert check not in found.checked


@pytest.mark.asyncio
async def test_a_user_with_no_right_at_all_and_commands_that_are_renamed() -> None:
    renamed = {"rename-command": 'SLOWLOG ""\nrename-command WAIT ""'}
    async with EmbeddedSentinel(server_config=renamed) as group:
        found = diagnose(await look(group.settings), CHECKS)
        told = {finding.found: finding for _, finding in found.findings}
        assert "rename-command WAIT" in told["WAIT is not known there"].mend
        (why,) = {each.why for each in found.skipped if each.check == "slow-commands"}
        assert "rename-command" in why
        for server in (group.master, *group.replicas):
            await group.command(server, "ACL", "SETUSER", "app", "on", ">pw", "-@all")
        settings = group.settings.model_copy(update={"username": "app", "password": "pw"})
        found = diagnose(await look(settings), CHECKS)
        assert "rights" in names(found)
        assert found.usable, "a master that answers, if only with refusals"


@asynccontextmanager
async def babbler(answer: bytes) -> AsyncIterator[int]:
    """
    The port of something that answers whatever it is sent with the same bytes.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer", [b"-ERR no\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b"", b"*-1\r\n" * 99]
)
async def test_something_else_at_a_sentinels_address_is_told(answer: bytes) -> None:
    async with babbler(answer) as port:
        settings = RedisSettings.isolated(sentinels=[f"127.0.0.1:{port}"], master_name="m")
        async with asyncio.timeout(10):
            found = diagnose(await survey(settings, within=1), CHECKS)
    assert found.status == 2
    assert "master-known" in names(found)
    assert names(found) & {"sentinel-down", "sentinel-group"}


@pytest.mark.asyncio
async def test_tls_that_nobody_speaks_is_named_as_the_cause(kept_group: EmbeddedSentinel) -> None:
    encrypted = kept_group.settings.model_copy(update={"tls": True, "sentinel_tls": True})
    found = diagnose(await survey(encrypted, within=5), CHECKS)
    (finding, *_) = [finding for name, finding in found.findings if name == "sentinel-down"]
    assert "TLS" in finding.found
    assert "REDIS_SENTINEL_TLS" in finding.mend
    assert "RESET" not in finding.mend, "nobody has gone"


@pytest.mark.asyncio
async def test_a_server_that_is_taken_for_a_sentinel_is_told(kept_group: EmbeddedSentinel) -> None:
    update = {"sentinels": [kept_group.master.address], "sentinel_password": PASSWORD}
    found = diagnose(await look(kept_group.settings.model_copy(update=update)), CHECKS)
    told = {finding.found for name, finding in found.findings if name == "sentinel-group"}
    assert told == {"something answers there that is no sentinel"}


@pytest.mark.asyncio
async def test_nothing_is_changed(kept_group: EmbeddedSentinel) -> None:
    async def state() -> list[Any]:
        server, sentinel = kept_group.master, kept_group.sentinels[0]
        return [
            await kept_group.command(server, "CONFIG", "GET", "*"),
            await kept_group.command(server, "DBSIZE"),
            await kept_group.command(server, "ACL", "LIST"),
            (await kept_group.command(server, "ROLE"))[0],
            await kept_group.command(sentinel, "SENTINEL", "CONFIG", "GET", "*"),
        ]

    before = await state()
    await look(kept_group.settings)
    assert await state() == before


@pytest.mark.asyncio
async def test_a_terminal_of_80_columns_holds_every_line(calm_group: EmbeddedSentinel) -> None:
    found = diagnose(await look(calm_group.settings), CHECKS)
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, soft_wrap=True).print(told(found))
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert max(map(len, text.splitlines())) <= 80
    assert "    To mend: `CONFIG SET maxmemory" in text
