"""
Rows for the commands that no method of redis-py sends: by their names, as `execute_command` takes.
"""

from __future__ import annotations

from tests.commands.rows.row import Compare, Row, Words, row

__all__ = ["CONTAINERS", "ON_ONE_CONNECTION", "ROWS", "UNREADABLE"]

ONE_SHA = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
RETURN_ONE = (("SCRIPT", "LOAD", "return 1"),)
LIBRARY = "#!lua name=f\nredis.register_function('f', function() return 1 end)"
DUMPED = b"\xf5@B" + LIBRARY.encode() + b"\n\x00A0\xeb4$\x89\x89\xff"
NO_LIBRARY = (("FUNCTION", "FLUSH"),)
CONTAINERS = (
    *("ACL", "CLIENT", "CLUSTER", "COMMANDLOG", "CONFIG", "FUNCTION", "LATENCY", "MEMORY"),
    *("MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO"),
)
HELPING = [name for name in (*CONTAINERS, "COMMAND", "DEBUG") if name != "CLUSTER"]
OF_A_CLUSTER = """
    ADDSLOTS 1; ADDSLOTSRANGE 1 2; BUMPEPOCH; CANCELSLOTMIGRATIONS; COUNT-FAILURE-REPORTS id;
    COUNTKEYSINSLOT 1; DELSLOTS 1; DELSLOTSRANGE 1 2; FAILOVER; FLUSHSLOT 1; FLUSHSLOTS; FORGET id;
    GETKEYSINSLOT 1 2; GETSLOTMIGRATIONS; HELP; LINKS; MEET 127.0.0.1 1; MIGRATESLOTS SLOTSRANGE;
    MYID; MYSHARDID; NODES; REPLICAS id; REPLICATE id; RESET; SAVECONFIG; SET-CONFIG-EPOCH 1;
    SETSLOT 1 STABLE; SHARDS; SLAVES id; SLOT-STATS SLOTSRANGE 1 2; SLOTS
"""
GROUP_ENDS = "SHUTDOWN NONSENSE; FAILOVER NONSENSE; REPLICAOF host; SLAVEOF host"
FILES = "SAVE x; BGSAVE NONSENSE; BGREWRITEAOF x"


def raw(*args: object, given: tuple[Words, ...] = (), compare: Compare = "exact") -> Row:
    return row("execute_command", *args, given=given, compare=compare)


def _spoken(table: str, *before: str) -> list[Row]:
    return [raw(*before, *call.split()) for call in table.split(";")]


UNREADABLE = [raw("COMMAND", "COUNT"), raw("COMMAND", "DOCS", "get")]
"""
redis-py takes the replies for those of COMMAND, and raises. In a pipeline that leaves its
connection out of step, so these are not staged.
"""

ROWS = [
    *UNREADABLE,
    *(raw(name) for name in CONTAINERS),
    *(raw(name, "NONSENSE") for name in CONTAINERS),
    *(raw(f"{name} HELP") for name in HELPING),
    *(raw(f"{name} HELP", "x", "y") for name in HELPING),
    *_spoken(OF_A_CLUSTER, "CLUSTER"),
    # Their errors alone: what they do would end the group, or leaves files behind.
    *(*_spoken(GROUP_ENDS), *_spoken(FILES)),
    raw("BITFIELD", "bits", "GET", "u8", 0, "INCRBY", "u8", 0, 300),
    raw("BITFIELD", "bits", "OVERFLOW", "FAIL", "SET", "u2", 0, 9),
    raw("BITFIELD", "bits", "GET", "x8", 0),
    raw("CLUSTERSCAN", 0),
    raw("COMMAND COUNT"),
    raw("COMMAND DOCS", "get", "no-such"),
    raw("COMMAND DOCS", "get", "x", compare="shape"),
    raw("COMMAND INFO", "get", "config|get"),
    raw("COMMAND INFO", "no-such"),
    raw("COMMAND LIST", "FILTERBY", "PATTERN", "xgroup*"),
    raw("COMMANDLOG GET", 0, "slow"),
    raw("COMMANDLOG GET", 10, "large-reply", compare="loose"),
    raw("COMMANDLOG GET", "x", "slow"),
    raw("COMMANDLOG LEN", "large-request"),
    raw("COMMANDLOG LEN", "none"),
    raw("COMMANDLOG RESET", "slow"),
    raw("COMMANDLOG RESET", "none"),
    raw("DEBUG"),
    raw("DEBUG", "NONSENSE"),
    raw("DEBUG", "SLEEP", 0),
    raw("DEBUG", "SLEEP"),
    raw("DECR", "number"),
    raw("DECR", "text"),
    raw("INCR", "number"),
    raw("INCR", "missing"),
    raw("INCR", "text"),
    raw("INCR", "list"),
    raw("DELIFEQ", "text", "hello"),
    raw("DELIFEQ", "text", "other"),
    raw("DELIFEQ", "list", "other"),
    raw("FUNCTION RESTORE", DUMPED, given=NO_LIBRARY),
    raw("GEORADIUS_RO", "geo", 15, 37, 200, "km", "WITHDIST"),
    raw("GEORADIUS_RO", "geo", 15, 37, 200, "km", "STORE", "to"),
    raw("GEORADIUSBYMEMBER_RO", "geo", "Palermo", 200, "km", "ASC"),
    raw("GEORADIUSBYMEMBER_RO", "geo", "missing", 200, "km"),
    raw("LATENCY DOCTOR"),
    raw("LATENCY GRAPH", "command"),
    raw("LATENCY HISTOGRAM", "no-such"),
    raw("LATENCY HISTOGRAM", "get", compare="loose"),
    raw("MEMORY DOCTOR", compare="shape"),
    raw("MEMORY MALLOC-STATS", compare="shape"),
    raw("OBJECT FREQ", "text"),
    raw("PFDEBUG", "ENCODING", "hll"),
    raw("PFDEBUG", "GETREG", "hll"),
    raw("PFDEBUG", "DECODE", "text"),
    raw("PFSELFTEST", "x"),
    raw("RESTORE-ASKING", "new", 0, b"\x00\xc0\x05\n\x00c/_f\x83/\xb3Q"),
    raw("RESTORE-ASKING", "new", 0, b"wrong"),
    raw("SCRIPT SHOW", ONE_SHA, given=RETURN_ONE),
    raw("SCRIPT SHOW", "none"),
    raw("SLOWLOG GET", 0),
    raw("SLOWLOG GET", "x"),
    raw("SORT_RO", "numbers", "DESC"),
    raw("SORT_RO", "list"),
    raw("SORT_RO", "numbers", "STORE", "to"),
    raw("XSETID", "stream", "9-9"),
    raw("XSETID", "stream", "0-1"),
    raw("XSETID", "missing", "1-1"),
]

ON_ONE_CONNECTION = [
    raw("ASKING"),
    raw("CLIENT CACHING", "YES"),
    raw("CLIENT CAPA", "redirect"),
    raw("CLIENT CAPA"),
    raw("CLIENT IMPORT-SOURCE", "ON"),
    raw("CLIENT NO-EVICT", "ON"),
    raw("CLIENT NO-TOUCH", "ON"),
    raw("CLIENT NO-TOUCH", "MAYBE"),
    raw("CLIENT SETINFO", "LIB-NAME", "x"),
    raw("CLIENT SETINFO", "LIB-NAME", "x y"),
    raw("CLIENT SETNAME", "x"),
    raw("CLIENT SETNAME", "x y"),
    raw("CLIENT TRACKING", "ON"),
    raw("CLIENT TRACKING", "MAYBE"),
    raw("AUTH", "none", "wrong"),
    raw("HELLO", compare="loose"),
    raw("HELLO", 9),
    raw("EXEC"),
    raw("MULTI"),
    raw("DISCARD"),
    raw("WATCH", "text"),
    raw("UNWATCH"),
    raw("READONLY"),
    raw("READWRITE"),
    raw("RESET"),
    raw("SCRIPT DEBUG", "NO"),
    raw("SCRIPT DEBUG", "MAYBE"),
    raw("SELECT", 1),
    raw("SELECT", 99),
]
"""What changes its connection, and gives one reply: for a client of one connection."""
