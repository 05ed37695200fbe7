"""
The command table: what may read from a replica, run twice, block, or change its connection.

Repeatable means: run twice, a command leaves the data that it leaves when run once. A count in the
reply then describes the second run (`DEL` may say 0), a relative time to live starts anew, and what
another client wrote between the two runs is overwritten. Not repeatable are a command whose reply
is a decision that a second run would falsify (`SET NX`, `SETBIT`, `DELIFEQ`), and one that acts on
a server rather than on data: its second run may meet another server. An unknown command is a write
that runs once.

In the word lists, ``CONFIG|GET|SET`` stands for the two commands `CONFIG GET` and `CONFIG SET`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from redis.exceptions import DataError

__all__ = ["SPECS", "Spec", "lookup", "with_wait"]

Does = Literal["reads", "asks", "writes", "acts"]
Wait = Callable[[Sequence[Any]], float | None]
Check = Callable[[Sequence[Any]], bool]

# What the servers flag readonly, and the harmless questions that every server answers alike.
# A SCAN cursor means something only to the server that gave it: its pages must go to one server.
_READS = """
    PING ECHO TIME DBSIZE LOLWUT KEYS RANDOMKEY SCAN CLUSTERSCAN EXISTS TYPE DUMP SORT_RO
    TTL PTTL EXPIRETIME PEXPIRETIME MEMORY|USAGE OBJECT|ENCODING|FREQ|IDLETIME|REFCOUNT
    GET MGET GETRANGE SUBSTR STRLEN STRALGO LCS DIGEST GETBIT BITCOUNT BITPOS BITFIELD_RO PFCOUNT
    HGET HMGET HGETALL HEXISTS HKEYS HVALS HLEN HSTRLEN HRANDFIELD HSCAN
    HTTL HPTTL HEXPIRETIME HPEXPIRETIME LINDEX LLEN LPOS LRANGE
    SCARD SISMEMBER SMISMEMBER SMEMBERS SRANDMEMBER SSCAN
    SDIFF SDIFFCARD SINTER SINTERCARD SUNION SUNIONCARD
    ZCARD ZCOUNT ZLEXCOUNT ZDIFF ZINTER ZINTERCARD ZUNION ZMSCORE ZSCORE ZRANDMEMBER ZSCAN
    ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZRANK ZREVRANK
    GEODIST GEOHASH GEOPOS GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO
    XINFO|CONSUMERS|GROUPS|STREAM XLEN XPENDING XRANGE XREVRANGE XREAD EVAL_RO EVALSHA_RO FCALL_RO
    ARGET ARMGET ARGETRANGE ARLEN ARCOUNT ARINFO ARGREP ARSCAN AROP ARNEXT ARLASTITEMS
    VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VSIM
    JSON.GET JSON.MGET JSON.TYPE JSON.STRLEN JSON.ARRLEN JSON.ARRINDEX JSON.OBJKEYS JSON.OBJLEN
    JSON.RESP FT.SEARCH FT.EXPLAIN FT.EXPLAINCLI FT.INFO FT._LIST FT.SPELLCHECK FT.SUGGET FT.SUGLEN
    FT.SYNDUMP FT.TAGVALS FT.DICTDUMP FT.GET FT.MGET TS.GET TS.MGET TS.RANGE TS.REVRANGE TS.MRANGE
    TS.MREVRANGE TS.NRANGE TS.NREVRANGE TS.QUERYINDEX TS.QUERYLABELS TS.INFO TS.READ BF.EXISTS
    BF.MEXISTS BF.CARD BF.INFO CF.EXISTS CF.MEXISTS CF.COUNT CF.INFO CMS.QUERY CMS.INFO TOPK.QUERY
    TOPK.COUNT TOPK.LIST TOPK.INFO TDIGEST.MIN TDIGEST.MAX TDIGEST.QUANTILE TDIGEST.CDF TDIGEST.RANK
    TDIGEST.REVRANK TDIGEST.BYRANK TDIGEST.BYREVRANK TDIGEST.TRIMMED_MEAN TDIGEST.INFO
"""

# Harmless, but about one server: its settings, its clients, its clock of last uses, its cursors.
_ASKS = """
    INFO ROLE LASTSAVE TOUCH COMMAND COMMAND|COUNT|DOCS|GETKEYS|GETKEYSANDFLAGS|HELP|INFO|LIST
    ACL|CAT|DRYRUN|GENPASS|GETUSER|HELP|LIST|USERS|WHOAMI CONFIG|GET|HELP MODULE|HELP|LIST
    CLIENT|GETNAME|GETREDIR|HELP|ID|INFO|LIST|TRACKINGINFO DEBUG|OBJECT HOTKEYS|GET
    CLUSTER|COUNT-FAILURE-REPORTS|COUNTKEYSINSLOT|GETKEYSINSLOT|GETSLOTMIGRATIONS|HELP|INFO|KEYSLOT
    CLUSTER|LINKS|MYID|MYSHARDID|NODES|REPLICAS|SHARDS|SLAVES|SLOT-STATS|SLOTS
    COMMANDLOG|GET|HELP|LEN SLOWLOG|GET|HELP|LEN LATENCY|DOCTOR|GRAPH|HELP|HISTOGRAM|HISTORY|LATEST
    MEMORY|DOCTOR|HELP|MALLOC-STATS|STATS OBJECT|HELP XINFO|HELP XGROUP|HELP
    FUNCTION|DUMP|HELP|LIST|STATS SCRIPT|EXISTS|HELP|SHOW
    PUBSUB|CHANNELS|HELP|NUMPAT|NUMSUB|SHARDCHANNELS|SHARDNUMSUB
    SENTINEL|CKQUORUM|GET-MASTER-ADDR-BY-NAME|GET-PRIMARY-ADDR-BY-NAME|HELP|INFO-CACHE|MASTER
    SENTINEL|MASTERS|MYID|PENDING-SCRIPTS|PRIMARIES|PRIMARY|REPLICAS|SENTINELS|SLAVES
    FT.AGGREGATE FT.HYBRID BF.SCANDUMP CF.SCANDUMP
"""

_REPEATABLE = """
    DEL UNLINK SETEX PSETEX MSET SETRANGE PERSIST PFADD PFMERGE HSET HMSET HDEL HPERSIST LSET
    SADD SREM SINTERSTORE SUNIONSTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYSCORE SCRIPT|LOAD
    XACK XACKDEL XDEL XDELEX XTRIM ARSET ARMSET ARDEL ARDELRANGE ARSEEK VADD VREM VSETATTR
"""

_ONCE = """
    APPEND DECR DECRBY INCR INCRBY INCRBYFLOAT INCREX GETDEL GETSET SETNX MSETNX SETBIT BITOP
    DELIFEQ COPY MOVE RENAME RENAMENX RESTORE-ASKING MIGRATE SWAPDB FLUSHALL FLUSHDB SFLUSH
    HSETNX HINCRBY HINCRBYFLOAT HGETDEL SMOVE SPOP LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP RPOPLPUSH
    LMOVE LMOVEM LMPOP LINSERT LREM LTRIM BLPOP BRPOP BLMOVE BLMOVEM BLMPOP BRPOPLPUSH BZMPOP
    BZPOPMAX BZPOPMIN ZINCRBY ZMPOP ZPOPMAX ZPOPMIN ZREMRANGEBYRANK ZRANGESTORE
    ZDIFFSTORE ZINTERSTORE ZUNIONSTORE GEOSEARCHSTORE XADD XAUTOCLAIM XCLAIM XNACK XCFGSET
    XREADGROUP XSETID XGROUP|CREATE|CREATECONSUMER|DELCONSUMER|DESTROY|SETID ARINSERT ARRING
    EVAL EVALSHA FCALL FUNCTION|DELETE|FLUSH
"""

# What acts on one server, and is not replicated as data.
_ACTS = """
    WAIT WAITAOF PUBLISH SPUBLISH FUNCTION|KILL SCRIPT|FLUSH|KILL
    ACL|DELUSER|LOAD|SAVE|SETUSER CLIENT|KILL|PAUSE|UNBLOCK|UNPAUSE CONFIG|RESETSTAT|REWRITE|SET
    CLUSTER|ADDSLOTS|ADDSLOTSRANGE|BUMPEPOCH|CANCELSLOTMIGRATIONS|DELSLOTS|DELSLOTSRANGE|FAILOVER
    CLUSTER|FLUSHSLOT|FLUSHSLOTS|FORGET|MEET|MIGRATESLOTS|REPLICATE|RESET|SAVECONFIG
    CLUSTER|SET-CONFIG-EPOCH|SETSLOT COMMANDLOG|RESET SLOWLOG|RESET LATENCY|RESET MEMORY|PURGE
    MODULE|LOAD|LOADEX|UNLOAD HOTKEYS|RESET|START|STOP DEBUG DEBUG|SLEEP PFDEBUG PFSELFTEST
    SENTINEL|CONFIG|DEBUG|FAILOVER|FLUSHCONFIG|IS-MASTER-DOWN-BY-ADDR|IS-PRIMARY-DOWN-BY-ADDR
    SENTINEL|MONITOR|REMOVE|RESET|SET|SIMULATE-FAILURE
    BGREWRITEAOF BGSAVE SAVE FAILOVER REPLICAOF SLAVEOF SHUTDOWN
"""

_OWN = {
    "use `redis.pubsub()`": (
        "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE"
    ),
    "use `redis.pipeline()`": "MULTI EXEC DISCARD WATCH UNWATCH",
    "use `redis.monitor()`": "MONITOR",
    "use `await redis.aclose()`": "QUIT",
    "set `username` and `password` in `RedisSettings`": "AUTH",
    "set `db` in `RedisSettings`": "SELECT",
    "use `redis-cli --replica`": "SYNC PSYNC REPLCONF CLUSTER|SYNCSLOTS",
    "use `async with redis.client() as connection:`": """
        HELLO RESET ASKING READONLY READWRITE SCRIPT|DEBUG HIMPORT|PREPARE|SET|DISCARD|DISCARDALL
        CLIENT|REPLY|TRACKING|CACHING|SETNAME|SETINFO|NO-EVICT|NO-TOUCH|CAPA|IMPORT-SOURCE
    """,
}


class Spec:
    """
    What may be done with one command. Never changed once made.
    """

    __slots__ = (
        "_repeatable", "cursor", "harmless", "known", "name", "own", "plain", "reads", "wait",
        "words", "writes",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        words: tuple[bytes, ...],
        *,
        does: Does = "writes",
        repeatable: bool | Check = False,
        own: str | None = None,
        wait: Wait | None = None,
        known: bool = True,
    ) -> None:
        self.name = name
        """Upper-case, with its sub-command: ``GET``, ``CONFIG GET``."""
        self.words = words
        """What goes on the wire for the name."""
        self.reads = does == "reads"
        """A replica may serve it."""
        self.writes = does == "writes"
        """It may change data, which replicas then get."""
        self.harmless = does in ("reads", "asks")
        """It changes nothing: one that got no answer is as good as one that was not sent."""
        self.own = own
        """Not None: it changes its connection's state, or streams to it. What to use instead."""
        self.wait = wait
        """For a command that can block: arguments to seconds; 0.0 without end, None not at all."""
        self.known = known
        self.cursor = name.endswith("SCAN")
        """Gives a cursor, which only the server that gave it understands."""
        self.plain = known and own is None and wait is None and len(words) == 1 and not self.cursor
        """Known, one word, never blocks, needs no connection of its own."""
        self._repeatable = repeatable

    def __repr__(self) -> str:
        return f"<Spec {self.name}>"

    def repeatable(self, args: Sequence[Any]) -> bool:
        """
        Whether the command with these arguments (after its name) may run twice.
        """
        answer = self._repeatable
        return answer if isinstance(answer, bool) else answer(args)


def lookup(args: Sequence[Any]) -> tuple[Spec, tuple[Any, ...]]:
    """
    Gives the command's spec, and the arguments with the name in its canonical words.

    Takes every spelling that redis-py takes. Raises redis-py's `DataError` where there is no name.
    """
    if not args:
        raise DataError("no command given")
    name = args[0]
    if name.__class__ is str or name.__class__ is bytes:
        spec = _SPELLINGS.get(name)
        if spec is not None:
            return spec, (*spec.words, *args[1:])
    return _lookup_any(args)


def _lookup_any(args: Sequence[Any]) -> tuple[Spec, tuple[Any, ...]]:
    split = _split(args[0])
    given = (*split, *args[1:])
    size = 2 if len(given) > 1 and split[0].upper() in _CONTAINERS else 1
    name = b" ".join(map(_upper, given[:size]))
    if b"\0" in name:
        # Redis 7 may take b"SELECT\0x" for SELECT: it compares names up to the first NUL.
        raise DataError("the command's name holds a NUL byte")
    spec = SPECS.get(name.decode("ascii", "replace"))
    if spec is None:
        title = split[0].upper().decode("ascii", "backslashreplace")
        return Spec(title, split, known=False), given
    return spec, (*spec.words, *given[size:])


def _split(name: object) -> tuple[bytes, ...]:
    # redis-py splits the first argument, and only that, before it sends it.
    if not isinstance(name, (str, bytes, bytearray, memoryview)):
        raise DataError(f"the command's name must be str or bytes, not {type(name).__name__}")
    words = tuple(_raw(name).split())
    if not words:
        raise DataError("the command's name is empty")
    return words


def _raw(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    text = value if isinstance(value, str) else str(value)
    return text.encode(errors="replace")


def _upper(value: object) -> bytes:
    return _raw(value).upper()


def _unless(options: str, start: int, stop: int | None = None) -> Check:
    refused = frozenset(options.encode().split())
    return lambda args: len(args) <= start or refused.isdisjoint(map(_upper, args[start:stop]))


def _if(option: bytes, start: int, stop: int | None = None) -> Check:
    return lambda args: option in map(_upper, args[start:stop])


# Where an option decides: the places are those of options, as far as the syntax allows to tell.
# NX, GT and LT make the reply a decision. A time in the past makes GETEX and HGETEX delete.
_DEPENDS: dict[str, Check] = {
    "SET": _unless("NX GET IFEQ IFNE IFDEQ IFDNE", 2),
    "MSETEX": _unless("NX", -3),
    "GETEX": _unless("EXAT PXAT", 1),
    "DELEX": lambda args: len(args) == 1,
    **dict.fromkeys(("EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT"), _unless("NX GT LT", 2)),
    **dict.fromkeys(("HEXPIRE", "HEXPIREAT", "HPEXPIRE", "HPEXPIREAT"), _unless("NX GT LT", 2, 4)),
    "HGETEX": _unless("EXAT PXAT", 1, 3),
    "HSETEX": _unless("NX FNX", 1, 5),
    "ZADD": _unless("NX INCR", 1, 5),
    "GEOADD": _unless("NX", 1, 3),
    "GEORADIUS": _unless("STORE STOREDIST", 5),
    "GEORADIUSBYMEMBER": _unless("STORE STOREDIST", 4),
    "SORT": _unless("STORE", 1),
    "BITFIELD": _unless("SET INCRBY", 1),
    # a - b stored in b: the second run subtracts from something else.
    "SDIFFSTORE": lambda args: len(args) > 1 and _raw(args[0]) not in map(_raw, args[2:]),
    "RESTORE": _if(b"REPLACE", 3),
    "FUNCTION LOAD": _if(b"REPLACE", 0, 1),
    "FUNCTION RESTORE": _if(b"REPLACE", 1),
    "ACL LOG": _unless("RESET", 0),
}


def _timeout(index: int, unit: float = 1.0) -> Wait:
    def seconds(args: Sequence[Any]) -> float:
        try:
            value = float(args[index]) * unit
        except (IndexError, OverflowError, TypeError, ValueError):
            return 0.0  # the server will say what is wrong with it
        return value if math.isfinite(value) and value > 0.0 else 0.0

    return seconds


_OPERANDS = {b"GROUP": 2, b"BLOCK": 1, b"COUNT": 1, b"CLAIM": 1}


def _block_index(args: Sequence[Any]) -> int | None:
    # Read in order, because a group or a consumer may be called "block".
    found, index = None, 0
    while index < len(args) and (option := _upper(args[index])) != b"STREAMS":
        if option == b"BLOCK":
            found = index + 1
        index += 1 + _OPERANDS.get(option, 0)
    return found


def _block(args: Sequence[Any]) -> float | None:
    index = _block_index(args)
    return None if index is None else _timeout(index, 0.001)(args)


def with_wait(name: str, args: Sequence[Any], seconds: float) -> tuple[Any, ...]:
    """
    Gives the arguments (after the name) with another time to wait at the server.

    WAIT and WAITAOF keep theirs: a second run asks again from the start.
    """
    changed = list(args)
    if name in ("XREAD", "XREADGROUP", "TS.READ"):
        skipped = 2 if name == "TS.READ" else 0
        index = _block_index(args[skipped:])
        if index is not None:
            changed[skipped + index] = max(1, round(seconds * 1000))
    elif name not in ("WAIT", "WAITAOF"):
        place = 0 if name in ("BLMPOP", "BZMPOP") else 4 if name.startswith("BLMOVE") else -1
        changed[place] = f"{seconds:.3f}"
    return tuple(changed)


_WAITS: dict[str, Wait] = {
    **dict.fromkeys(("BLPOP", "BRPOP", "BRPOPLPUSH", "BZPOPMAX", "BZPOPMIN"), _timeout(-1)),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), _timeout(0)),
    **dict.fromkeys(("BLMOVE", "BLMOVEM"), _timeout(4)),
    **dict.fromkeys(("XREAD", "XREADGROUP"), _block),
    "TS.READ": lambda args: _block(args[2:]),
    "WAIT": _timeout(1, 0.001),
    "WAITAOF": _timeout(2, 0.001),
}


def _names(table: str) -> Iterator[str]:
    for entry in table.split():
        head, *subcommands = entry.split("|")
        yield from (f"{head} {sub}" for sub in subcommands) if subcommands else (head,)


def _specs() -> Iterator[Spec]:
    def spec(name: str, **facts: Any) -> Spec:
        return Spec(name, tuple(name.encode().split()), wait=_WAITS.get(name), **facts)

    yield from (spec(name, does="reads", repeatable=True) for name in _names(_READS))
    yield from (spec(name, does="asks", repeatable=True) for name in _names(_ASKS))
    yield from (spec(name, repeatable=True) for name in _names(_REPEATABLE))
    yield from (spec(name) for name in _names(_ONCE))
    yield from (spec(name, does="acts") for name in _names(_ACTS))
    yield from (spec(name, repeatable=check) for name, check in _DEPENDS.items())
    yield from (
        spec(name, does="asks" if name in ("WATCH", "UNWATCH") else "acts", own=text)
        for text, table in _OWN.items()
        for name in _names(table)
    )


SPECS: dict[str, Spec] = {spec.name: spec for spec in _specs()}
_CONTAINERS = frozenset(spec.words[0] for spec in SPECS.values() if len(spec.words) == 2)
# Spelled so, one look in this dict is enough. COMMAND alone is not: a sub-command may follow.
_SPELLINGS: dict[str | bytes, Spec] = {
    spelling: spec
    for name, spec in SPECS.items()
    if spec.words[0] not in _CONTAINERS or len(spec.words) == 2
    for spelling in (name, name.lower(), name.encode(), name.lower().encode())
}
