from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import DataError, ExecAbortError, ReadOnlyError, ResponseError

from sahool_cache.commands import SPECS, lookup
from sahool_cache.connection.packing import pack
from sahool_cache.connection.request import CHUNK, Batch, Blocking, Single
from tests.unit.clock import virtual
from tests.unit.wires import FakeWire, lane_on

READONLY = b"-READONLY You can't write against a read only replica.\r\n"
NOREPLICAS = b"-NOREPLICAS Not enough good replicas to write.\r\n"


@pytest.mark.parametrize(
    ("call", "name", "reads", "repeatable", "needs_own"),
    [
        (("GET", "k"), "GET", True, True, False),
        (("get", "k"), "GET", True, True, False),
        (("SET", "k", "v"), "SET", False, True, False),
        (("SET", "k", "v", "NX"), "SET", False, False, False),
        (("INCR", "k"), "INCR", False, False, False),
        (("CONFIG GET", "maxmemory"), "CONFIG GET", False, True, False),
        (("BLPOP", "l", 1), "BLPOP", False, False, True),
        (("XREAD", "STREAMS", "s", "0"), "XREAD", True, True, False),
        (("XREAD", "BLOCK", 10, "STREAMS", "s", "0"), "XREAD", True, True, True),
        (("WAIT", 1, 100), "WAIT", False, False, True),
        (("JSON.GET", "k"), "JSON.GET", True, True, False),
        (("MODULE.UNHEARDOF", "k"), "MODULE.UNHEARDOF", False, False, False),
        (("UNHEARDOF", "k"), "UNHEARDOF", False, False, True),
    ],
)
def test_what_a_policy_learns_of_a_command(
    call: tuple[Any, ...], name: str, reads: bool, repeatable: bool, needs_own: bool
) -> None:
    request = Single(call)
    told = (request.name, request.reads, request.repeatable, request.needs_own)
    assert told == (name, reads, repeatable, needs_own)


def test_a_bad_argument_is_refused_when_the_request_is_made() -> None:
    with pytest.raises(DataError):
        Single(("SET", "k", None))


@virtual
async def test_a_single_command_is_written_as_it_is_and_its_reply_decoded_as_asked() -> None:
    wire = FakeWire()
    lane = lane_on(wire, decode=True)
    futures = [Single(("GET", "k"), flipped=flipped).submit(lane) for flipped in (False, True)]
    await asyncio.sleep(0)
    assert wire.writes == [pack(("GET", "k"))] * 2
    wire.feed(b"$1\r\nv\r\n" * 2)
    assert await asyncio.gather(*futures) == ["v", b"v"]
    assert Single(("GET", "k")).checked("v") == "v"


# A call that waits at the server for eight seconds, and the place of the time in it.
WAITS: list[tuple[tuple[Any, ...], int, object]] = [
    (("BLPOP", "l", 8), 2, b"3.000"),
    (("BRPOP", "a", "b", "8"), 3, b"3.000"),
    (("BRPOPLPUSH", "a", "b", 8), 3, b"3.000"),
    (("BZPOPMIN", "z", 8.0), 2, b"3.000"),
    (("BLMOVE", "a", "b", "LEFT", "RIGHT", 8), 5, b"3.000"),
    (("BLMPOP", 8, 1, "l", "LEFT", "COUNT", 2), 1, b"3.000"),
    (("BZMPOP", 8, 1, "z", "MIN"), 1, b"3.000"),
    (("BLMOVEM", "a", "b", "LEFT", "RIGHT", 8, "COUNT", 2), 5, b"3.000"),
    (("XREAD", "BLOCK", 8000, "STREAMS", "s", "$"), 2, b"3000"),
    (("XREAD", "COUNT", 2, b"block", 8000, b"streams", "s", "$"), 4, b"3000"),
    (("XREAD", "BLOCK", 8000, "STREAMS", "BLOCK", "$"), 2, b"3000"),
    (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 8000, "STREAMS", "s", ">"), 5, b"3000"),
    (("XREADGROUP", "GROUP", "block", "c", "BLOCK", 8000, "STREAMS", "s", ">"), 5, b"3000"),
    (("XREADGROUP", "GROUP", "g", "block", "BLOCK", 8000, "STREAMS", "s", ">"), 5, b"3000"),
    (("XREADGROUP", "GROUP", "g", "streams", "BLOCK", 8000, "STREAMS", "s", ">"), 5, b"3000"),
    (("XREADGROUP", "GROUP", "streams", "c", "BLOCK", 8000, "STREAMS", "block", ">"), 5, b"3000"),
    (("TS.READ", "k", 5, "BLOCK", 8000, "COUNT", 1), 4, b"3000"),
    (("WAIT", 1, 8000), 2, b"8000"),
    (("WAITAOF", 1, 0, 8000), 3, b"8000"),
]


def as_sent(args: tuple[Any, ...]) -> list[bytes]:
    return pack(args).split(b"\r\n")[2::2]


@pytest.mark.parametrize(("call", "place", "left"), WAITS, ids=lambda value: str(value)[:50])
@virtual
async def test_a_wait_that_is_issued_again_waits_for_what_is_left(
    call: tuple[Any, ...], place: int, left: bytes
) -> None:
    spec, args = lookup(call)
    assert spec.wait is not None
    assert spec.wait(args[len(spec.words) :]) == 8.0
    request, wire = Blocking(call, 8.0), FakeWire()
    assert request.needs_own
    await asyncio.sleep(1.0)  # in line: the time begins when it is sent first
    request.submit(lane_on(wire)).cancel()
    assert wire.writes == [pack(call)]
    await asyncio.sleep(5.0)
    request.submit(lane_on(wire)).cancel()
    sent, expected = wire.writes[1].split(b"\r\n")[2::2], as_sent(call)
    expected[place] = left
    assert [word.upper() for word in sent] == [word.upper() for word in expected]


@virtual
async def test_a_wait_whose_time_has_gone_waits_a_moment_and_not_for_ever() -> None:
    for call, place in ((("BLPOP", "l", 1), 2), (("XREAD", "BLOCK", 1000, "STREAMS", "s", 0), 2)):
        request, wire = Blocking(call, 1.0), FakeWire()
        request.submit(lane_on(wire)).cancel()
        await asyncio.sleep(9.0)
        request.submit(lane_on(wire)).cancel()
        assert float(wire.writes[1].split(b"\r\n")[2::2][place]) > 0


@virtual
async def test_a_wait_without_end_stays_one() -> None:
    request, wire = Blocking(("BLPOP", "l", 0), 0.0), FakeWire()
    for _ in range(2):
        request.submit(lane_on(wire)).cancel()
        await asyncio.sleep(9.0)
    assert wire.writes == [pack(("BLPOP", "l", 0))] * 2


def batch(*commands: tuple[Any, ...], transaction: bool = False) -> Batch:
    return Batch(
        commands,
        specs=[SPECS["SET"]],
        transaction=transaction,
        repeatable=lambda: False,
    )


@virtual
async def test_a_batch_is_written_in_chunks_and_answered_in_order() -> None:
    wire = FakeWire()
    commands = [("SET", f"k{n}", n) for n in range(2 * CHUNK + 1)]
    future = batch(*commands).submit(lane_on(wire))
    assert len(wire.writes) == 3
    assert b"".join(wire.writes) == b"".join(map(pack, commands))
    wire.feed(b"".join(b":%d\r\n" % n for n in range(len(commands))))
    assert await future == list(range(len(commands)))


def test_a_bad_argument_refuses_the_whole_batch() -> None:
    with pytest.raises(DataError):
        batch(("SET", "a", 1), ("SET", "b", None))


def test_a_batch_has_a_name_for_errors() -> None:
    assert batch(("GET", "a")).name == "a pipeline"
    assert batch(("MULTI",), ("EXEC",), transaction=True).name == "MULTI/EXEC"


async def checked(request: Batch, spoken: bytes) -> Any:
    wire = FakeWire()
    future = request.submit(lane_on(wire, decode=True))
    wire.feed(spoken)
    return request.checked(await future)


@pytest.mark.parametrize("refusal", [READONLY, NOREPLICAS])
@virtual
async def test_a_batch_of_which_nothing_ran_raises_the_refusal(refusal: bytes) -> None:
    with pytest.raises(ResponseError, match=r"read only|Not enough"):
        await checked(batch(("SET", "a", 1), ("SET", "b", 1)), refusal * 2)


@pytest.mark.parametrize(
    "spoken",
    [
        b"+OK\r\n" + READONLY,
        READONLY + b"+OK\r\n",
        READONLY + b"-WRONGTYPE x\r\n",
        b"-ERR a\r\n-ERR b\r\n",
    ],
)
@virtual
async def test_a_batch_of_which_anything_may_have_run_returns_its_errors(spoken: bytes) -> None:
    replies = await checked(batch(("SET", "a", 1), ("SET", "b", 1)), spoken)
    assert len(replies) == 2
    assert any(isinstance(reply, ResponseError) for reply in replies)


def transaction(body: int = 2) -> Batch:
    return batch(("MULTI",), *[("SET", "k", 1)] * body, ("EXEC",), transaction=True)


@virtual
async def test_a_transaction_that_ran_returns_its_replies() -> None:
    replies = await checked(transaction(), b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n")
    assert replies[-1] == ["OK", "OK"]
    replies = await checked(transaction(), b"+OK\r\n+QUEUED\r\n+QUEUED\r\n_\r\n")
    assert replies[-1] is None


@pytest.mark.parametrize(
    "spoken",
    [
        b"+OK\r\n"
        + READONLY * 2
        + b"-EXECABORT Transaction discarded because of previous errors.\r\n",
        b"+OK\r\n+QUEUED\r\n" + READONLY + b"-EXECABORT Transaction discarded.\r\n",
        (
            b"+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: "
            b"READONLY You can't write against a read only replica.\r\n"
        ),
        READONLY * 4,
    ],
)
@virtual
async def test_a_transaction_that_a_demoted_master_turned_down_raises_its_refusal(
    spoken: bytes,
) -> None:
    with pytest.raises(ReadOnlyError):
        await checked(transaction(), spoken)


@pytest.mark.parametrize(
    "spoken",
    [
        (
            b"+OK\r\n-ERR wrong number of arguments\r\n+QUEUED\r\n-EXECABORT Transaction discarded "
            b"because of previous errors.\r\n"
        ),
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: OOM x\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + READONLY + b"+OK\r\n",
    ],
)
@virtual
async def test_any_other_outcome_of_a_transaction_is_the_callers(spoken: bytes) -> None:
    replies = await checked(transaction(), spoken)
    assert isinstance(replies[-1], ExecAbortError | list)
