"""
``sahool-cache topology``: who is who, under which address, and whether the sentinels agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from sahool_cache.address import Address
from sahool_cache.cli.answer import Answer, conclude, mark
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.health import STATUS
from sahool_cache.cli.options import AsJson, Url, Within, group_settings
from sahool_cache.cli.survey import SentinelWord, ServerWord, Survey, take_survey
from sahool_cache.routing.discovery import SentinelView

__all__ = ["topology"]

_VIEW = ("epoch", "master", "flags", "quorum", "down_after", "replicas", "sentinels")


def topology(*, url: Url = None, within: Within = 3.0, as_json: AsJson = False) -> int:
    """
    Shows who is who, under which address, and each sentinel's view.

    An address that is announced by the sentinels and dialled under another is
    shown with both. The exit status is that of health, and 1 at least where
    the sentinels, or a server and the sentinels, disagree.
    """
    settings = group_settings(url, command_timeout=within)

    async def look() -> Answer:
        survey = await take_survey(settings, within)
        document = _document(survey)
        disagreed = any(each["disagrees"] for each in document["servers"] + document["sentinels"])
        status = max(STATUS[survey.health["status"]], ExitStatus(int(disagreed)))
        return Answer(document=document, told=_picture(survey, document), status=status)

    return conclude(look(), as_json=as_json)


def _document(survey: Survey) -> dict[str, Any]:
    view = survey.newest
    return {
        **survey.heading(),
        "quorum": view.quorum if view is not None else None,
        "down_after": view.down_after if view is not None else None,
        "servers": [_server(survey, word) for word in survey.servers],
        "sentinels": [_sentinel(survey, word) for word in survey.sentinels],
    }


def _server(survey: Survey, word: ServerWord) -> dict[str, Any]:
    is_master = word.address == survey.master
    return {
        "role": "master" if is_master else "replica",
        "address": str(word.address),
        "announced": str(word.announced),
        "answers": word.answers,
        "why": word.why,
        "says": word.role,
        "follows": None if word.follows is None else str(word.follows),
        "link": word.field("replication", "master_link_status"),
        "in_rotation": None if is_master else word.address in survey.topology.in_rotation,
        "flags": _flags(survey, word.announced),
        "disagrees": list(_against_group(survey, word)),
    }


def _flags(survey: Survey, announced: Address) -> list[str]:
    view = survey.newest
    if view is None:
        return []
    said = view.flags if announced == view.master else view.replicas.get(announced, frozenset())
    return sorted(said - {"master", "slave", ""})


def _against_group(survey: Survey, word: ServerWord) -> Iterator[str]:
    role = "master" if word.address == survey.master else "replica"
    if word.role not in (None, role):
        yield f"says it is a {word.role}"
    elif word.follows is not None and survey.settings.reachable(word.follows) != survey.master:
        yield f"follows {word.follows}"


def _sentinel(survey: Survey, word: SentinelWord) -> dict[str, Any]:
    return {
        "address": str(word.address),
        "announced": str(_announced(survey, word)),
        "answers": word.view is not None,
        "why": word.why,
        **_view(word.view),
        "ckquorum": word.usable,
        "disagrees": list(_against_newest(survey, word)),
    }


def _view(view: SentinelView | None) -> dict[str, Any]:
    if view is None:
        return dict.fromkeys(_VIEW)
    told = (
        view.epoch,
        str(view.master),
        sorted(view.flags - {"master"}),
        view.quorum,
        view.down_after,
        list(map(str, view.members)),
        sorted(map(str, view.peers.values())),
    )
    return dict(zip(_VIEW, told, strict=True))


def _announced(survey: Survey, word: SentinelWord) -> Address:
    """
    The address by which its peers know a sentinel.
    """
    views = [each.view for each in survey.sentinels if each.view is not None]
    named = {run_id: at for view in views for run_id, at in view.peers.items()}
    if word.view is not None and word.view.run_id in named:
        return named[word.view.run_id]
    dialled = {survey.settings.reachable(each): each for each in named.values()}
    return dialled.get(word.address, word.address)


def _against_newest(survey: Survey, word: SentinelWord) -> Iterator[str]:
    view, newest = word.view, survey.newest
    if view is None or newest is None:
        return
    for name in ("epoch", "master", "quorum", "down_after"):
        if getattr(view, name) != getattr(newest, name):
            yield f"{name.replace('_', '-')} {getattr(view, name)}"
    if view.members != newest.members:
        yield f"replicas {', '.join(map(str, view.members)) or 'none'}"
    if {*view.peers, view.run_id} != {*newest.peers, newest.run_id}:
        yield f"{len(view.peers)} other sentinels"


def _picture(survey: Survey, document: dict[str, Any]) -> RenderableType:
    status = document["status"]
    head = f"{printable(document['master_name'])} is {status}"
    if survey.newest is not None:
        unsure = " (to be confirmed)" if document["provisional"] else ""
        head += f": epoch {document['epoch']}{unsure}"
    parts: list[RenderableType] = [Text.assemble(mark(STATUS[status]), " ", (head, "bold"))]
    if survey.unexplained is not None:
        parts.append(Text(printable(survey.unexplained)))
    servers = [_server_line(each) for each in document["servers"]]
    if servers:
        tree = Tree(servers[0], guide_style="bright_black")
        for line in servers[1:]:
            tree.add(line)
        parts += [Text(), tree]
    parts.append(Text())
    parts += [_sentinel_line(each) for each in document["sentinels"]]
    return Group(*parts)


def _server_line(told: dict[str, Any]) -> Text:
    facts = [] if told["why"] is None else [told["why"]]
    facts += told["disagrees"]
    if told["in_rotation"] is False:
        facts.append("not fit to be read")
    status = ExitStatus.DEGRADED if facts else ExitStatus.OK
    if told["role"] == "master" and not told["answers"]:
        status = ExitStatus.DOWN
    return _line(status, f"{told['role']} {_named(told)}", facts + told["flags"])


def _sentinel_line(told: dict[str, Any]) -> Text:
    name = f"sentinel {_named(told)}"
    if not told["answers"]:
        return _line(ExitStatus.DEGRADED, name, [told["why"]])
    facts = [f"disagrees: {', '.join(told['disagrees'])}"] if told["disagrees"] else []
    status = ExitStatus.DEGRADED if facts else ExitStatus.OK
    facts += [f"epoch {told['epoch']}", f"quorum {told['quorum']}"] if not facts else []
    return _line(status, name, facts + told["flags"])


def _named(told: dict[str, Any]) -> str:
    if told["announced"] == told["address"]:
        return str(told["address"])
    return f"{told['address']} (announced as {told['announced']})"


def _line(status: ExitStatus, name: str, facts: list[str]) -> Text:
    told = f" {name}" + (f": {', '.join(facts)}" if facts else "")
    return Text.assemble(mark(status), printable(told))
