"""
Opening and closing: in outages, twice, cancelled half-way, on other loops, after a fork.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sahool_cache import (
    MasterUnknownError,
    RedisClient,
    UnavailableError,
    close_redis_client,
    get_redis_client,
)
from sahool_cache.connection.lane import BULKY
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.errors import ClientClosedError
from sahool_cache.events import Event, MasterChanged, NodeUp
from sahool_cache.wiring import Chain
from tests.integration.observe import eventually, open_sockets, other_tasks, send_all, within

CLOSES_WITHIN = 2.0
"""Seconds; it takes a tenth of one."""

PENDING: list[object] = []
"""Tasks of a loop that was closed over them; asyncio complains when they are collected."""


@pytest.mark.asyncio
async def test_nothing_connects_before_the_first_command(calm_group: EmbeddedSentinel) -> None:
    """
    Making a client opens no socket and starts no task; the first command opens it.
    """
    tasks, sockets = other_tasks(), open_sockets()
    redis = RedisClient(calm_group.settings)
    await asyncio.sleep(0)
    assert (other_tasks(), open_sockets()) == (tasks, sockets)
    assert redis.topology.master is None
    assert await redis.set("lazy", "opened")
    assert redis.topology.master == calm_group.master.address
    await redis.aclose()
    assert (other_tasks(), open_sockets()) == (tasks, sockets)


@pytest.mark.asyncio
async def test_every_task_has_a_name_of_ours(calm_group: EmbeddedSentinel) -> None:
    """
    Every task that a client runs says whose it is.
    """
    tasks = other_tasks()
    async with RedisClient(calm_group.settings) as redis:
        await redis.get("k")
        ours = other_tasks() - tasks
        assert ours
        assert all(name.startswith("sahool_cache") for name in ours), ours


@pytest.mark.asyncio
async def test_closing_twice_and_using_it_afterwards(calm_group: EmbeddedSentinel) -> None:
    """
    A second aclose() does nothing; a closed client refuses every way of use until it is reopened.
    """
    redis = RedisClient(calm_group.settings)
    await redis.aclose()
    await redis.open()
    assert await redis.set("k", "v")
    await redis.aclose()
    await redis.aclose()
    assert "closed" in repr(redis)
    for call in (
        redis.get("k"),
        redis.replica.get("k"),
        redis.blpop("list", timeout=1),
        send_all(redis.pipeline(), ("GET", "k")),
        redis.pubsub().subscribe("channel"),
        redis.wait_ready(),
    ):
        with within(CLOSES_WITHIN), pytest.raises(ClientClosedError):
            await call
    await redis.open()
    assert await redis.get("k") == "v"
    await redis.aclose()


@pytest.mark.parametrize("fault", ["killed", "hung", "everything dead"])
@pytest.mark.asyncio
async def test_closing_in_the_middle_of_an_outage(group: EmbeddedSentinel, fault: str) -> None:
    """
    aclose() is quick, everybody who waits is told, and no task and no socket is left.
    """
    tasks, sockets = other_tasks(), open_sockets()
    redis = RedisClient(group.settings)
    stream = redis.events()
    await redis.open()
    subscription = redis.pubsub()
    await subscription.subscribe("channel")
    calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(redis.blpop("empty", timeout=0))]
    await asyncio.sleep(0.05)
    if fault == "hung":
        await group.pause(group.master)
    else:
        await group.kill_master()
    if fault == "everything dead":
        for node in (*group.replicas, *group.sentinels):
            if node.alive:
                await group.kill(node)
    calls += [asyncio.ensure_future(redis.get(f"k{n}")) for n in range(50)]
    calls += [asyncio.ensure_future(redis.set(f"k{n}", n)) for n in range(50)]
    calls += [asyncio.ensure_future(send_all(redis.pipeline(), ("INCR", "n"))) for _ in range(50)]
    await asyncio.sleep(0.2)
    with within(CLOSES_WITHIN):
        await redis.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [result for result in results if isinstance(result, Exception)]
    assert len(failed) == len(calls)
    kinds = {type(error).__name__ for error in failed}
    assert kinds <= {"ClientClosedError", "OutcomeUnknownError"}, failed[:3]
    assert "ClientClosedError" in kinds
    await subscription.aclose()
    assert [event async for event in stream]
    assert other_tasks() == tasks
    assert open_sockets() == sockets


@pytest.mark.asyncio
async def test_closing_lets_what_is_in_flight_finish(calm_group: EmbeddedSentinel) -> None:
    """
    Calls that were sent before aclose() get their replies.
    """
    redis = RedisClient(calm_group.settings)
    await redis.open()
    calls = [asyncio.ensure_future(redis.set(f"flying:{n}", n)) for n in range(100)]
    await asyncio.sleep(0)
    await redis.aclose()
    assert await asyncio.gather(*calls) == [True] * 100


@pytest.mark.asyncio
async def test_cancelled_while_opening(calm_group: EmbeddedSentinel) -> None:
    """
    `async with` that is cancelled at any moment of its opening leaves nothing open.
    """
    tasks, sockets = other_tasks(), open_sockets()

    async def serve(redis: RedisClient) -> None:
        async with redis:
            await asyncio.sleep(60)

    delays = [n * 0.0005 for n in range(12)] + [0.01, 0.03]
    for steps, delay in enumerate(delays):
        redis = RedisClient(calm_group.settings)
        task = asyncio.create_task(serve(redis))
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert other_tasks() == tasks, f"after {steps} steps and {delay} s"
        assert open_sockets() == sockets, f"after {steps} steps and {delay} s"


@pytest.mark.asyncio
async def test_opening_while_everything_is_down(group: EmbeddedSentinel) -> None:
    """
    open() does not raise; wait_ready() does, with the reason; the state answers; and it recovers.
    """
    settings = group.settings.model_copy(update={"command_timeout": 2.0})
    members = (*group.sentinels, group.master, *group.replicas)
    master = group.master
    for node in members:
        await group.kill(node)
    redis = RedisClient(settings)
    with within(6):
        await redis.open()
    try:
        with within(4), pytest.raises(UnavailableError) as caught:
            await redis.wait_ready(timeout=1)
        for sentinel in group.sentinels:
            assert str(sentinel.address) in str(caught.value)
        with within(4):
            assert await redis.ping() is False
        with within(4):
            health = await redis.health_check()
        assert health["status"] == "unhealthy"
        assert health["checks"]["master_ping"] is False
        with within(4):
            info = await redis.get_sentinel_info()
        assert info["master"] is None
        assert [each["answers"] for each in info["sentinels"]] == [False] * 3
        assert "sahool-master" in repr(redis)
        for node in (master, *(node for node in members if node is not master)):
            await group.restart(node)
        await redis.wait_ready(timeout=20)
        assert await redis.ping() is True
    finally:
        await redis.aclose()


@pytest.mark.parametrize("fault", ["nothing", "master hung", "replica hung", "sentinels hung"])
@pytest.mark.asyncio
async def test_state_answers_whatever_is_broken(fault: str) -> None:
    """
    ping, health_check and get_sentinel_info answer within their budget and never raise.
    """
    async with EmbeddedSentinel(down_after=10.0) as group:
        settings = group.settings.model_copy(update={"command_timeout": 1.0})
        async with RedisClient(settings) as redis:
            broken = {
                "nothing": (),
                "master hung": (group.master,),
                "replica hung": group.replicas[:1],
                "sentinels hung": group.sentinels,
            }[fault]
            for node in broken:
                await group.pause(node)
            with within(5):
                assert await redis.ping() is (fault != "master hung")
            with within(5):
                health = await redis.health_check()
            with within(5):
                info = await redis.get_sentinel_info()
            if broken:  # what hangs is not noticed at once
                await asyncio.sleep(2.5)
                with within(5):
                    health = await redis.health_check()
            expected = {"nothing": "healthy", "master hung": "unhealthy"}.get(fault, "degraded")
            assert health["status"] == expected, health
            assert set(info) == {"master", "slaves", "sentinels"}
            assert info["master"]["port"] == (redis.topology.master or (0, 0))[1]
            assert len(info["slaves"]) == 2
            assert len(info["sentinels"]) == 3
            assert {"master_ping", "circuit_breaker"} <= set(health["checks"])
            for node in broken:
                await group.resume(node)


@pytest.mark.asyncio
async def test_wait_ready_returns_at_once_where_all_is_well(calm_group: EmbeddedSentinel) -> None:
    """
    wait_ready() also opens a client that is not open yet.
    """
    redis = RedisClient(calm_group.settings)
    with within(3):
        await redis.wait_ready()
    assert redis.topology.master == calm_group.master.address
    assert len(redis.topology.sentinels) == 3
    await redis.aclose()


@pytest.mark.asyncio
async def test_event_stream_ends_when_the_client_closes(calm_group: EmbeddedSentinel) -> None:
    """
    `async for event in redis.events()` gets what happens from now on, and ends at aclose().
    """
    redis = RedisClient(calm_group.settings)
    stream = redis.events()
    seen: list[Event] = []

    async def listen() -> None:
        seen.extend([event async for event in stream])

    listener = asyncio.create_task(listen())
    await redis.open()
    await redis.aclose()
    await asyncio.wait_for(listener, 2)
    assert {MasterChanged, NodeUp} <= {type(event) for event in seen}


@pytest.mark.asyncio
async def test_repr_is_a_dashboard_of_one_line(calm_group: EmbeddedSentinel) -> None:
    """
    repr(redis) tells the state in one line, open or not.
    """
    redis = RedisClient(calm_group.settings)
    assert repr(redis) == "<RedisClient not open>"
    async with redis:
        assert await eventually(lambda: len(redis.topology.in_rotation) == 2)
        line = repr(redis)
        for part in ("sahool-master", str(calm_group.master.address), "replicas 2/2", "closed"):
            assert part in line, line
        assert "\n" not in line


def test_two_event_loops_one_after_the_other(calm_group: EmbeddedSentinel) -> None:
    """
    A client whose loop has ended starts afresh on the next one, closed or not in between.
    """
    redis = RedisClient(calm_group.settings)
    sockets = open_sockets()

    async def use(value: str, *, close: bool) -> None:
        assert await redis.set("loops", value)
        assert await redis.get("loops") == value
        if close:
            await redis.aclose()
            await redis.open()

    asyncio.run(use("first", close=False))
    asyncio.run(use("second", close=True))
    asyncio.run(use("third", close=False))
    assert open_sockets() == sockets
    for _ in range(20):
        asyncio.run(use("again", close=False))
    gc.collect()
    assert sum(isinstance(each, Chain) for each in gc.get_objects()) < 20, "old loops are kept"


@pytest.mark.parametrize("size", [1, BULKY])
def test_loop_that_ends_in_the_middle_of_a_tick_leaves_nothing_to_the_next(
    calm_group: EmbeddedSentinel, size: int
) -> None:
    """
    Calls that joined the tick in which their loop was left are not waited for on the next loop,
    and while that loop lives a call on another is refused and never sent.
    """
    redis, value = RedisClient(calm_group.settings), "v" * size
    old = asyncio.new_event_loop()

    async def leave() -> None:
        await redis.delete("tick:new")
        await asyncio.gather(*(redis.set(f"tick:{n}", n) for n in range(10)))
        calls.extend(asyncio.ensure_future(redis.set(f"tick:{n}", "left")) for n in range(10))

    async def use() -> tuple[object, object]:
        return await redis.set("tick:new", value), await redis.get("tick:0")

    calls: list[asyncio.Future[bool]] = []
    old.run_until_complete(leave())
    with pytest.raises(RuntimeError, match="serves another event loop"):
        asyncio.run(use())
    assert old.run_until_complete(asyncio.gather(*calls)) == [True] * 10
    assert old.run_until_complete(redis.exists("tick:new")) == 0
    old.run_until_complete(leave())
    PENDING.extend(asyncio.all_tasks(old))
    old.close()
    assert asyncio.run(use()) == (True, "0")


def test_two_event_loops_at_once(calm_group: EmbeddedSentinel) -> None:
    """
    Each thread's loop has its own client, and one that belongs to a living loop is refused.
    """
    shared = RedisClient(calm_group.settings)
    opened, done = threading.Event(), threading.Event()
    outcomes: dict[str, object] = {}

    async def owner() -> None:
        async with shared:
            opened.set()
            while not done.is_set():
                assert await shared.incr("owner") > 0
        outcomes["owner"] = "fine"

    async def stranger() -> None:
        for name, call in (("refused", shared.get("k")), ("not closed", shared.aclose())):
            try:
                await call
            except RuntimeError as error:
                outcomes[name] = str(error)
        async with RedisClient(calm_group.settings) as own:
            values = await asyncio.gather(*(own.set(f"stranger:{n}", n) for n in range(200)))
            outcomes["stranger"] = all(values)

    def other() -> None:
        try:
            assert opened.wait(10)
            asyncio.run(stranger())
        finally:
            done.set()

    thread = threading.Thread(target=other)
    thread.start()
    asyncio.run(owner())
    thread.join(10)
    assert outcomes["owner"] == "fine"
    assert outcomes["stranger"] is True
    assert "event loop" in str(outcomes["refused"])
    assert "event loop" in str(outcomes["not closed"])


@pytest.mark.asyncio
async def test_forked_child_uses_its_own_connections(calm_group: EmbeddedSentinel) -> None:
    """
    Parent and child go on with the same client object, and neither sees the other's replies.
    """
    async with RedisClient(calm_group.settings) as redis:
        await redis.set("who", "parent")
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(_in_child(redis, write_end))
        os.close(write_end)
        mine = [await redis.get("who") for _ in range(50)]
        mine += await asyncio.gather(*(redis.echo(f"parent {n}") for n in range(500)))
        status = await _exit_status(child)
        with os.fdopen(read_end) as pipe:
            told = pipe.read()
        assert mine == ["parent"] * 50 + [f"parent {n}" for n in range(500)]
        assert (status, told) == (0, "fine")
        assert await redis.get("who") == "parent"


@pytest.mark.asyncio
async def test_fork_in_the_middle_of_a_tick_sends_nothing_twice(
    calm_group: EmbeddedSentinel,
) -> None:
    """
    What the parent had gathered is the parent's: the child writes nothing of it, nor into it.
    """
    async with RedisClient(calm_group.settings) as redis:
        read_end, write_end = os.pipe()
        children: list[int] = []

        def fork() -> None:
            children.append(os.fork())
            if children == [0]:
                os._exit(_in_child(redis, write_end))

        await asyncio.gather(*(redis.echo(str(n)) for n in range(10)))
        calls = [asyncio.ensure_future(redis.incr("fork:tick")) for _ in range(10)]
        asyncio.get_running_loop().call_soon(fork)
        assert sorted(await asyncio.gather(*calls)) == list(range(1, 11))
        os.close(write_end)
        status = await _exit_status(children[0])
        with os.fdopen(read_end) as pipe:
            told = pipe.read()
        assert (status, told) == (0, "fine")
        assert [await redis.echo(f"parent {n}") for n in range(20)] == [
            f"parent {n}" for n in range(20)
        ]


def _in_child(redis: RedisClient, write_end: int) -> int:
    async def use() -> str:
        inherited = open_sockets()
        await redis.set("child", "v" * BULKY)
        said = await asyncio.gather(*(redis.echo(f"child {n}") for n in range(500)))
        own = open_sockets() - inherited
        await redis.aclose()
        fine = said == [f"child {n}" for n in range(500)] and own
        return "fine" if fine else f"{said[:3]} {own}"

    try:
        told = asyncio.run(asyncio.wait_for(use(), 10))
    except BaseException as error:  # noqa: BLE001  # the parent is told
        told = repr(error)
    os.write(write_end, told.encode())
    return 0


async def _exit_status(child: int) -> int:
    for _ in range(1500):
        pid, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222  # it does not block
        if pid:
            return os.waitstatus_to_exitcode(status)
        await asyncio.sleep(0.01)
    os.kill(child, 9)
    raise TimeoutError("the child did not end")


@pytest.fixture
def in_environment(
    calm_group: EmbeddedSentinel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env here
    monkeypatch.setenv("REDIS_MASTER_NAME", "sahool-master")
    for n, sentinel in enumerate(calm_group.sentinels, start=1):
        monkeypatch.setenv(f"REDIS_SENTINEL_HOST_{n}", str(sentinel.address))


@pytest.mark.usefixtures("in_environment")
def test_one_client_per_loop_from_the_environment() -> None:
    """
    get_redis_client() is the same object within a loop, another on the next, and works on both.
    """
    sockets = open_sockets()

    async def use() -> RedisClient:
        redis = get_redis_client()
        assert get_redis_client() is redis
        assert await redis.set("environment", "read")
        await close_redis_client()
        assert get_redis_client() is not redis
        await close_redis_client()
        return redis

    assert asyncio.run(use()) is not asyncio.run(use())
    assert open_sockets() == sockets


@pytest.mark.usefixtures("in_environment")
def test_client_made_outside_of_a_loop_serves_the_first_one() -> None:
    """
    A module may keep get_redis_client(); the first loop that runs gets that very client.
    """
    redis = get_redis_client()

    async def use() -> None:
        assert get_redis_client() is redis
        assert await redis.set("module", "level")
        await close_redis_client()

    asyncio.run(use())


@pytest.mark.asyncio
async def test_environment_without_a_group_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    get_redis_client() names what the environment lacks; closing without a client does nothing.
    """
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="master_name"):
        get_redis_client()
    await close_redis_client()


@pytest.mark.asyncio
async def test_calls_that_wait_for_a_master_are_answered_when_it_comes(
    group: EmbeddedSentinel,
) -> None:
    """
    A client that meets a group without sentinels says so; one that meets it later is served.
    """
    for sentinel in group.sentinels:
        await group.kill(sentinel)
    settings = group.settings.model_copy(update={"command_timeout": 15.0})
    async with asyncio.timeout(30):
        redis = RedisClient(settings.model_copy(update={"command_timeout": 1.0}))
        with pytest.raises(MasterUnknownError) as caught:
            await redis.get("k")
        assert set(caught.value.causes) == {str(node.address) for node in group.sentinels}
        for sentinel in group.sentinels:
            await group.restart(sentinel)
        assert await eventually(lambda: redis.topology.master is not None, 10)
        assert await redis.set("k", "v")
        await redis.aclose()
