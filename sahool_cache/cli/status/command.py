"""
``sahool-cache status``: its options, and the JSON document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from sahool_cache.cli.answer import Answer, conclude
from sahool_cache.cli.health import STATUS
from sahool_cache.cli.options import AsJson, Url, Within, group_settings
from sahool_cache.cli.status.figures import Figures, server_figures
from sahool_cache.cli.status.picture import picture
from sahool_cache.cli.survey import Survey, take_survey

__all__ = ["status"]

SECTIONS = ("memory", "stats", "clients", "replication", "cpu")


def status(
    *,
    url: Url = None,
    within: Within = 3.0,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Memory, stats, clients, replication and CPU of each server."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """
    Shows the group: master, replicas and sentinels, and how they do.

    The verdict and the exit status are those of the command health.
    """
    settings = group_settings(url, command_timeout=within)

    async def look() -> Answer:
        survey = await take_survey(settings, within)
        figures = [server_figures(survey, word) for word in survey.servers]
        return Answer(
            document=_document(survey, figures, verbose=verbose),
            told=picture(survey, figures, verbose=verbose),
            status=STATUS[survey.health["status"]],
        )

    return conclude(look(), as_json=as_json)


def _document(survey: Survey, figures: list[Figures], *, verbose: bool) -> dict[str, Any]:
    servers = [each.as_data() for each in figures]
    if verbose:
        for told, word in zip(servers, survey.servers, strict=True):
            told["info"] = {name: word.sections.get(name, {}) for name in SECTIONS}
    return {
        **survey.heading(),
        "last_failover": _last_failover(survey),
        "servers": servers,
        "sentinels": [
            {
                "address": str(word.address),
                "answers": word.view is not None,
                "why": word.why,
                "epoch": word.view.epoch if word.view is not None else None,
                "quorum": word.view.quorum if word.view is not None else None,
                "ckquorum": word.usable,
            }
            for word in survey.sentinels
        ],
        "checks": survey.health["checks"],
    }


def _last_failover(survey: Survey) -> Mapping[str, Any] | None:
    since = survey.master_for
    if not survey.epoch or since is None:
        return None
    return {"epoch": survey.epoch, "seconds_ago": since}
