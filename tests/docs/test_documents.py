"""
What the documents say is so: the settings, the plan of the house, and every example runs.
"""

from __future__ import annotations

import ast
import asyncio
import re
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from tests.docs.settings_table import PAGE, page

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/guide.md",
    "docs/monitoring.md",
    "docs/recipes.md",
    "docs/security.md",
)


IN_ORDER = {"docs/recipes.md"}
"""Pages whose blocks, within a section, speak of what the blocks before have defined."""


def examples() -> Iterator[tuple[str, str]]:
    for name in PAGES:
        text = (ROOT / name).read_text()
        sections = re.split(r"^## ", text, flags=re.MULTILINE) if name in IN_ORDER else [text]
        for section in sections:
            found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
            blocks = [textwrap.dedent(block) for block in found]
            if name in IN_ORDER and blocks:
                yield f"{name} {section.splitlines()[0]}", "\n".join(blocks)
            elif name not in IN_ORDER:
                yield from ((f"{name} #{n}", block) for n, block in enumerate(blocks, 1))


@pytest_asyncio.fixture
async def world() -> AsyncIterator[dict[str, Any]]:
    async with EmbeddedSentinel(down_after=1.0) as group, RedisClient(group.settings) as redis:
        await redis.set("balance", 100)
        yield {"redis": redis, "group": group}


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "code"), [pytest.param(*each, id=each[0]) for each in examples()])
async def test_every_example_runs(name: str, code: str, world: dict[str, Any]) -> None:
    """
    Each block is run as it stands, in an async function, on a real group.

    Addresses of the examples are those of the group; loops without end are given a moment.
    """
    settings = world["group"].settings
    sentinels = ", ".join(f'"{each}"' for each in settings.sentinels)
    code = re.sub(r'sentinels=\[[^\]]*"10\.[^\]]*\]', f"sentinels=[{sentinels}]", code)
    code = re.sub(r'password="[^"]*"', "password=None", code)
    code = code.replace("asyncio.run(main())", "await main()")
    scope: dict[str, Any] = {
        "__name__": name,
        "RedisClient": RedisClient,
        "mine": None,
        **world,
    }
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, name, "exec", flags=flags, dont_inherit=True)
    feeder = asyncio.create_task(feed(world["redis"]))
    try:
        async with asyncio.timeout(2 if "async for" in code else 20):
            running = eval(compiled, scope)  # noqa: S307  # our own documents
            if running is not None:
                await running
    except TimeoutError:
        assert "async for" in code, f"{name} takes too long"
    finally:
        feeder.cancel()


async def feed(redis: RedisClient) -> None:
    """
    Gives those that wait something to receive.
    """
    while True:
        await redis.rpush("queue", "item")
        await asyncio.sleep(0.1)


def test_the_settings_page_is_in_step() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.docs.settings_table"


def test_every_setting_says_what_it_means() -> None:
    rows = page().splitlines()
    assert not [row for row in rows if row.endswith("|  |")]


def test_the_plan_names_every_file() -> None:
    """
    docs/how-it-works.md knows each file of the core rooms.
    """
    plan = (ROOT / "docs" / "how-it-works.md").read_text()
    core = ("", "connection", "policy", "routing", "wiring")
    files = [
        path.name
        for room in core
        for path in (ROOT / "sahool_cache" / room).glob("*.py")
        if not path.name.startswith("__")
    ]
    assert not [name for name in files if name not in plan]
