"""
`python -m tests.benchmarks.cell CELL TARGET`, both as JSON: does the work, prints the result.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable

import msgspec

from tests.benchmarks.clients import AbsentError, RefusedError
from tests.benchmarks.invalidation import measure_invalidation
from tests.benchmarks.load import Load
from tests.benchmarks.model import READY, Cell, Loop, Result, Target
from tests.benchmarks.reference import REFERENCE, play_reference
from tests.benchmarks.works import WORKS, Data

__all__ = ["play"]


def play(cell: Cell, target: Target) -> Result:
    """
    What came of the cell; never raises for what the client does.
    """
    try:
        if cell.client == REFERENCE:
            return play_reference(cell, target)
        with asyncio.Runner(loop_factory=_loop_factory(cell.loop)) as runner:
            return runner.run(_measure(cell, target))
    except AbsentError as error:
        return Result(cell=cell, absent=str(error))
    except RefusedError as error:
        return Result(cell=cell, trouble=f"not available: {' '.join(str(error).split())}")
    except Exception as error:  # noqa: BLE001  # a client may fail in any way; the others go on
        while isinstance(error, ExceptionGroup):  # its tasks ran in one
            error = error.exceptions[0]
        return Result(cell=cell, trouble=f"{type(error).__name__}: {error}"[:400])


def _loop_factory(loop: Loop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop != "uvloop":
        return None
    try:
        import uvloop  # noqa: PLC0415  # not on every system, and never required
    except ImportError as error:
        raise AbsentError("uvloop is not installed") from error
    return uvloop.new_event_loop


async def _measure(cell: Cell, target: Target) -> Result:
    work = WORKS[cell.work]
    client = work.make(cell.client, target, cell.options)
    await client.open()
    try:
        if cell.work == "invalidation":
            return await measure_invalidation(client, cell, target)
        # A client that answers something else, quickly, would win.
        await work.check(client, Data(cell.value_bytes))
        load = Load(client, cell, work)
        await load.warm_up()
        if cell.waits:
            await _told_to_go_on()
        measured = await load.measure(target)
        if cell.profiled:
            await _told_to_go_on()
        return measured
    finally:
        await client.aclose()


async def _told_to_go_on() -> None:
    print(READY, flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    """
    Reads the arguments, prints the result.
    """
    logging.disable(logging.CRITICAL)
    cell = msgspec.json.decode(sys.argv[1], type=Cell)
    target = msgspec.json.decode(sys.argv[2], type=Target)
    print(msgspec.json.encode(play(cell, target)).decode(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
