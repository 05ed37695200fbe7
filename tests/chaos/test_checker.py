from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checker import ANOMALIES, check


@dataclass(frozen=True, kw_only=True)
class Op:
    kind: str
    value: str | None
    began: float
    ended: float
    key: str = "k"
    outcome: str = "ok"
    error: str | None = None
    reader: str | None = None
    replica: bool = False


def wrote(value: str, began: float, ended: float, **facts: Any) -> Op:
    return Op(kind="set", value=value, began=began, ended=ended, **facts)


def read(value: str | None, began: float, ended: float, **facts: Any) -> Op:
    return Op(kind="get", value=value, began=began, ended=ended, **facts)


def found(*ops: Op, final: str | type[Any] | None = Any) -> dict[str, int]:
    """
    The anomalies that are there, and how many of each.
    """
    report = check(ops, None if final is Any else {"k": final})  # type: ignore[dict-item]
    counts = {name: count for name, count in report.counts.items() if count}
    assert report.linearizable == (not {"dirty", "contradictions"} & counts.keys())
    assert report.clean == (not counts)
    return counts


A, B = wrote("a", 0, 1), wrote("b", 2, 3)
UNKNOWN = wrote("u", 0, 1, outcome="unknown")


def test_a_history_in_order_is_clean() -> None:
    ops = [read(None, -2, -1), A, read("a", 1.1, 1.2), B, read("b", 4, 5), read("b", 6, 7)]
    assert found(*ops, final="b") == {}
    assert found(final=None) == {}
    assert found() == {}


def test_concurrent_calls_may_have_happened_in_any_order() -> None:
    assert found(A, wrote("b", 0.5, 4), read("b", 0.6, 0.7), read("a", 3, 5), final="a") == {}
    assert found(A, B, read("a", 3, 4), read(None, 1, 2)) == {}  # they touch, so they overlap
    assert found(A, read("a", -1, 0)) == {}


@pytest.mark.parametrize("final", [Any, "a", None])
def test_an_acknowledged_write_that_is_not_there_is_lost(final: Any) -> None:
    behind = "a" if final is Any else final
    seen = [read(behind, 4, 5)] if final is Any else []
    told = found(A, B, *seen, final=final)
    assert told["lost"] == (2 if behind is None else 1)
    assert told["stale" if behind else "absent"] == 1


def test_all_writes_that_the_last_state_does_not_know_are_lost() -> None:
    ops = [wrote(str(n), 2 * n, 2 * n + 1) for n in range(6)]
    assert found(*ops, read("2", 20, 21))["lost"] == 3
    assert found(*ops, read("2", 20, 21), wrote("new", 22, 23), final="new")["lost"] == 3
    assert found(*ops, final="5") == {}
    assert found(*ops, final=None)["lost"] == 6


def test_a_write_that_is_seen_again_or_was_replaced_is_not_lost() -> None:
    assert "lost" not in found(A, B, read("a", 4, 5), read("b", 6, 7))
    newer = wrote("c", 4, 5)
    assert "lost" not in found(A, B, newer, read("a", 6, 7), read("c", 8, 9))
    assert found(A, wrote("b", 0.5, 3), final="a") == {}  # b may have come first
    late = wrote("u", 0, 1, outcome="unknown")
    assert found(late, A, B, read("u", 4, 5)) == {}  # u may have replaced both


def test_a_loss_that_the_next_write_hides_counts() -> None:
    hidden = [A, B, read("a", 4, 5), wrote("c", 6, 7)]
    assert found(*hidden, final="c")["lost"] == 1
    assert "lost" not in found(*[replace(op, replica=op.kind == "get") for op in hidden], final="c")
    # Nor does a replica that has the write prove that the master still does.
    there = read("b", 6, 7, replica=True)
    assert found(A, B, read("a", 4, 5), there, final="a")["lost"] == 1


def test_a_read_of_what_had_been_replaced_is_stale() -> None:
    told = found(A, B, read("a", 4, 5), read("b", 4, 6))
    assert told == {"stale": 1, "contradictions": 2}


def test_none_after_an_acknowledged_write_is_absent() -> None:
    assert found(A, read(None, 2, 3), read("a", 4, 5)) == {"absent": 1, "contradictions": 2}
    assert found(A, read(None, 0.5, 3), read("a", 4, 5)) == {}
    assert found(UNKNOWN, read(None, 2, 3), final=None) == {}


def test_a_reader_that_goes_back_is_told_from_two_readers() -> None:
    both = [wrote("a", 0, 9), wrote("b", 0, 9)]
    back = [read("a", 1, 2), read("b", 3, 4), read("a", 5, 6)]
    assert found(*both, *back) == {"non_monotonic": 1, "contradictions": 2}
    readers = [replace(op, reader=str(n)) for n, op in enumerate(back)]
    assert found(*both, *readers) == {"contradictions": 2}
    newer = wrote("b", 2, 9)
    first_new = [read("b", 3, 4, reader="x"), read("a", 5, 6, reader="x")]
    assert found(A, newer, *first_new) == {"non_monotonic": 1, "contradictions": 2}
    assert found(newer, read("b", 3, 4), read(None, 5, 6))["non_monotonic"] == 1
    assert found(A, newer, *reversed(first_new)) == found(A, newer, *first_new)


def test_two_readers_who_disagree_on_an_order_contradict() -> None:
    both = [wrote("a", 0, 9), wrote("b", 0, 9)]
    one = [read("a", 1, 2, reader="1"), read("b", 3, 4, reader="1")]
    other = [read("b", 1, 2, reader="2"), read("a", 3, 4, reader="2")]
    assert found(*both, *one) == {}
    assert found(*both, *one, *other) == {"contradictions": 2}


@pytest.mark.parametrize(
    "source",
    [(), (wrote("d", 0, 1, outcome="failed"),), (wrote("d", 9, 10),)],
    ids=["never written", "failed", "not yet written"],
)
def test_a_value_from_nowhere_is_dirty(source: tuple[Op, ...]) -> None:
    assert found(*source, read("d", 4, 5)) == {"dirty": 1}


def test_an_unknown_write_counts_only_if_it_was_read() -> None:
    assert found(UNKNOWN, A, final="a") == {}
    assert found(UNKNOWN, A, read("a", 2, 3), read("u", 4, 5), final="u") == {}
    assert found(UNKNOWN, read("u", 4, 5), final=None)["contradictions"] == 2
    assert found(UNKNOWN, read("u", 4, 5), A, final="a") == {"contradictions": 2}
    assert found(UNKNOWN, read("u", 4, 5), B, final="b") == {"contradictions": 2}
    assert found(UNKNOWN, read("u", 4, 5), wrote("late", 3, 6), final="late") == {}


def test_reads_without_an_answer_and_failed_writes_count_for_nothing() -> None:
    lost = read("x", 4, 5, outcome="unknown"), read(None, 4, 5, outcome="failed")
    assert found(A, wrote("z", 2, 3, outcome="failed"), *lost, final="a") == {}


def test_each_key_is_judged_by_itself() -> None:
    other = [replace(op, key="other") for op in (A, B, read("a", 4, 5))]
    report = check([A, B, *other, read("b", 4, 5)], {"k": "b", "other": "b", "third": "x"})
    assert [key for key, each in report.keys.items() if each.linearizable] == ["k"]
    assert report.keys["other"].stale == ("a",)
    assert report.keys["third"].dirty == ("x",)
    assert (report.counts["stale"], report.counts["dirty"], report.linearizable) == (1, 1, False)


@pytest.mark.parametrize(
    "ops",
    [
        (A, wrote("a", 5, 6)),
        (A, wrote("a", 5, 6, outcome="failed")),
        (wrote("a", 2, 1),),
        (replace(A, kind="incr"),),
        (replace(A, outcome="perhaps"),),
        (replace(A, value=None),),
    ],
)
def test_what_is_no_history_is_refused(ops: tuple[Op, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        check(ops)


def test_a_long_history_takes_little_time() -> None:
    ops = [wrote(str(n), n, n + 0.5) for n in range(20_000)]
    ops += [read(str(max(n - 3, 0)), n + 0.6, n + 0.7) for n in range(20_000)]
    assert found(*ops)["stale"] == 19_999


# Against the definition itself: every order in which the calls may have happened.


def explained(ops: list[Op]) -> bool:
    """
    Whether some order of the calls keeps to their times, and gives every read its value.
    """
    reads = [op for op in ops if op.kind == "get" and op.outcome == "ok"]
    writes = [op for op in ops if op.kind == "set" and op.outcome != "failed"]
    endless = [replace(op, ended=float("inf")) for op in writes if op.outcome == "unknown"]
    writes = [op for op in writes if op.outcome == "ok"] + endless

    def search(left: frozenset[Op], state: str | None) -> bool:
        if all(op.outcome == "unknown" for op in left):
            return True
        first_end = min(op.ended for op in left)
        return any(
            search(left - {op}, op.value if op.kind == "set" else state)
            for op in left
            if op.began <= first_end and (op.kind == "set" or op.value == state)
        )

    return search(frozenset(reads + writes), None)


MOMENTS = st.tuples(st.integers(0, 9), st.integers(0, 4)).map(lambda at: (at[0], at[0] + at[1]))
OUTCOMES = st.sampled_from(("ok", "ok", "ok", "unknown", "failed"))


@st.composite
def small_histories(draw: st.DrawFn) -> list[Op]:
    values = "abcd"[: draw(st.integers(1, 4))]
    ops = [wrote(value, *draw(MOMENTS), outcome=draw(OUTCOMES)) for value in values]
    given = st.sampled_from((*values, None))
    # Each read is another call, also where two are alike.
    return ops + [
        read(draw(given), *draw(MOMENTS), error=str(n)) for n in range(draw(st.integers(0, 4)))
    ]


def test_the_verdict_is_that_of_a_search_through_all_orders() -> None:
    verdicts: Counter[bool] = Counter()

    @settings(max_examples=1500, deadline=None, derandomize=True, database=None)
    @given(small_histories())
    def agree(ops: list[Op]) -> None:
        expected = explained(ops)
        verdicts[expected] += 1
        assert check(ops).linearizable is expected

    agree()
    assert min(verdicts[True], verdicts[False]) > 300, verdicts


# Every kind of damage, done to a history that was in order.


def in_order(random: Random) -> list[Op]:
    """
    What a register does whose calls take a while: each works at one moment within its span.
    """
    ops: list[Op] = [wrote("v0", -9, -8)]
    now, state = 0.0, "v0"
    for n in range(1, 40):
        now += random.uniform(1, 2)
        began, ended = now - random.uniform(0, 3), now + random.uniform(0, 3)
        if random.random() < 0.4:
            state = f"v{n}"
            outcome = random.choice(("ok", "ok", "unknown"))
            ops.append(wrote(state, began, ended, outcome=outcome))
        else:
            ops.append(read(state, began, ended, reader=f"r{n}"))
    return ops


X = wrote("x", 200, 201)
LONG = (wrote("x", 200, 299), wrote("y", 200, 299))
DAMAGE = {
    "lost": ([X, wrote("y", 202, 203), read("x", 204, 205)], "x"),
    "stale": ([X, wrote("y", 202, 203), read("x", 204, 205)], "y"),
    "absent": ([X, read(None, 204, 205)], "x"),
    "non_monotonic": ([*LONG, read("x", 210, 220), read("y", 230, 240), read("x", 250, 260)], "y"),
    "dirty": ([X, wrote("y", 202, 203, outcome="failed"), read("y", 204, 205)], "x"),
    "contradictions": (
        [
            *(*LONG, read("x", 210, 220, reader="1"), read("y", 230, 240, reader="2")),
            *(read("y", 210, 220, reader="3"), read("x", 230, 240, reader="4")),
        ],
        "x",
    ),
}


@pytest.mark.parametrize("kind", ANOMALIES)
@pytest.mark.parametrize("seed", range(20))
def test_damage_is_called_by_its_name(kind: str, seed: int) -> None:
    ops = in_order(Random(seed))
    assert found(*ops) == {}
    damage, final = DAMAGE[kind]
    told = found(*ops, *damage, final=final)
    assert kind in told
    others = {"contradictions", *(("stale",) if kind == "lost" else ())}
    assert told.keys() <= {kind} | others
