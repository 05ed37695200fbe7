"""
The anomalies as they are defined, word by word, against the checker, which takes short cuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.checker import check
from tests.chaos.test_checker import MOMENTS, OUTCOMES, Op, read, wrote

NOTHING = wrote("", float("-inf"), float("-inf"))


class Definitions:
    """
    One key's history, asked directly.
    """

    def __init__(self, ops: list[Op]) -> None:
        ends = {op: float("inf") if op.outcome == "unknown" else op.ended for op in ops}
        self.writes = {
            op.value: wrote(op.value or "", op.began, ends[op], outcome=op.outcome)
            for op in ops
            if op.kind == "set" and op.outcome != "failed"
        } | {None: NOTHING}
        self.acknowledged = [op for op in ops if op.kind == "set" and op.outcome == "ok"]
        reads = [op for op in ops if op.kind == "get" and op.outcome == "ok"]
        self.dirty = [op for op in reads if self.from_nowhere(op)]
        self.reads = [op for op in reads if not self.from_nowhere(op)]

    def from_nowhere(self, op: Op) -> bool:
        return op.value not in self.writes or op.ended < self.writes[op.value].began

    def older(self, one: str | None, other: str | None) -> bool:
        return self.writes[one].ended < self.writes[other].began

    def behind(self) -> Iterator[str | None]:
        for op in self.reads:
            if any(
                write.ended < op.began and self.older(op.value, write.value)
                for write in self.acknowledged
            ):
                yield op.value

    def backward(self) -> Iterator[str | None]:
        for op in self.reads:
            earlier = [
                each for each in self.reads if each.reader == op.reader and each.ended < op.began
            ]
            came_back = any(
                one.value == op.value != other.value and one.ended < other.began
                for one, other in permutations(earlier, 2)
            )
            if came_back or any(self.older(op.value, each.value) for each in earlier):
                yield op.value

    def lost(self) -> Iterator[str | None]:
        for write in self.acknowledged:
            if any(self.speaks_of_a_loss(op, write) for op in self.reads if not op.replica):
                yield write.value

    def speaks_of_a_loss(self, op: Op, write: Op) -> bool:
        return (
            write.ended < op.began
            and self.older(op.value, write.value)
            and not any(
                other.ended >= op.began
                and not self.older(other.value, write.value)
                and (other.value == write.value or self.writes[other.value].began <= op.ended)
                for other in self.reads
                if not other.replica
            )
        )


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    values = "abcde"[: draw(st.integers(1, 5))]
    ops = [wrote(value, *draw(MOMENTS), outcome=draw(OUTCOMES)) for value in values]
    chosen = st.sampled_from((*values, None))
    for number in range(draw(st.integers(0, 6))):
        facts = {"reader": draw(st.sampled_from("xy")), "replica": draw(st.booleans())}
        ops.append(read(draw(chosen), *draw(MOMENTS), error=str(number), **facts))
    return ops


def test_every_count_is_that_of_the_definitions() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=1000, deadline=None, derandomize=True, database=None)
    @given(histories(), st.sampled_from(("a", "b", None, "no final state")))
    def agree(ops: list[Op], final: str | None) -> None:
        ended = final == "no final state"
        last = [] if ended else [read(final, float("inf"), float("inf"), reader="the end")]
        expected = Definitions(ops + last)
        told = check(ops, None if ended else {"k": final}).keys["k"]
        assert Counter(told.stale + told.absent) == Counter(expected.behind())
        assert Counter(told.non_monotonic) == Counter(expected.backward())
        assert set(told.lost) == set(expected.lost())
        assert Counter(told.dirty) == Counter(op.value for op in expected.dirty)
        met.update(name for name, count in told.counts.items() if count)
        met["clean"] += not any(told.counts.values())

    agree()
    assert min(met.values()) > 50, met
    assert len(met) == 7
