"""
``sahool-cache doctor``: what is wrong or risky in the group and in the settings, and the cure.
"""

from __future__ import annotations

from typing import Annotated

import typer

from sahool_cache.cli.answer import Answer, conclude
from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import diagnose
from sahool_cache.cli.doctor.report import document, told
from sahool_cache.cli.doctor.survey import survey
from sahool_cache.cli.options import AsJson, Url, group_settings

__all__ = ["doctor"]


def doctor(
    *,
    url: Url = None,
    within: Annotated[
        float,
        typer.Option(
            "--within", metavar="SECONDS", min=0.1, max=600, help="How long to look, at most."
        ),
    ] = 5.0,
    as_json: AsJson = False,
) -> int:
    """
    Says what is wrong or risky in the group and in the settings, and how to mend it.

    Asks every sentinel and every server once and changes nothing. Ends with 1
    if there is an error or a warning, with 2 if the master cannot be used.
    """
    settings = group_settings(url)

    async def look() -> Answer:
        found = diagnose(await survey(settings, within), CHECKS)
        return Answer(document=document(found), told=told(found), status=found.status)

    return conclude(look(), as_json=as_json)
