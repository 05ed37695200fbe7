"""
What a running Prometheus answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen


class Prometheus:
    """
    The one at that address.
    """

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}"

    async def ask(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urlencode(parameters)}"
        return json.loads(await fetch(url))["data"]

    async def query(self, expr: str) -> list[dict[str, Any]]:
        return (await self.ask("query", query=expr))["result"]

    async def firing(self) -> dict[str, list[dict[str, str]]]:
        """
        The labels of the alerts that fire, by name.
        """
        found: dict[str, list[dict[str, str]]] = {}
        for alert in (await self.ask("alerts"))["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    async def until_firing(self, *names: str, seconds: float = 60) -> None:
        """
        Returns when each of these alerts has been seen to fire, one after the other if need be.
        """
        seen: set[str] = set()

        async def missing() -> str | None:
            seen.update(await self.firing())
            return f"silent: {sorted(set(names) - seen)}" if set(names) - seen else None

        await until(missing, seconds)

    async def until_scraped(self, count: int, seconds: float = 60) -> dict[str, dict[str, str]]:
        """
        The labels of its targets by instance, once there are so many and all of them are up.
        """
        found: dict[str, dict[str, str]] = {}

        async def missing() -> str | None:
            try:
                targets = (await self.ask("targets"))["activeTargets"]
            except OSError as error:
                return f"Prometheus: {error}"
            found.update((each["labels"]["instance"], each["labels"]) for each in targets)
            down = [each["scrapeUrl"] for each in targets if each["health"] != "up"]
            return f"not up: {down}" if down or len(targets) != count else None

        await until(missing, seconds)
        return found


async def fetch(url: str) -> str:
    def get() -> str:
        with urlopen(url, timeout=10) as answer:  # noqa: S310  # our own, on this machine
            return answer.read().decode()

    return await asyncio.to_thread(get)


async def until(reason: Callable[[], Awaitable[object]], seconds: float) -> None:
    """
    Returns when `reason()` gives None; fails with what it gave last.
    """
    last = None
    try:
        async with asyncio.timeout(seconds):
            while (last := await reason()) is not None:
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"after {seconds:g} s: {last}") from None
