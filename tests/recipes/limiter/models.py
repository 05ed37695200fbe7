"""
What each algorithm promises, in exact fractions and as plainly as it can be said.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable
from fractions import Fraction

__all__ = ["MODELS", "Model"]


class Model(ABC):
    """
    One limit for one id; times are in microseconds.
    """

    def __init__(self, most: int, window: int) -> None:
        self.most = most
        self.window = window
        self.forget()

    @abstractmethod
    def forget(self) -> None:
        """
        Nothing was ever taken.
        """

    @abstractmethod
    def see(self, now: int) -> None:
        """
        Believes no time that is too far in the future.
        """

    @abstractmethod
    def load(self, now: int) -> Fraction:
        """
        How many requests count at that time.
        """

    @abstractmethod
    def take(self, count: int, now: int) -> None:
        """
        Counts them.
        """

    @abstractmethod
    def refund(self, count: int, now: int) -> None:
        """
        Gives them back.
        """

    def fits(self, count: int, now: int) -> bool:
        return self.load(now) + count <= self.most

    def remaining(self, now: int) -> int:
        return max(0, int(self.most - self.load(now)))

    def reset_after(self, now: int) -> int:
        return self._first(lambda at: self.load(at) == 0, now)

    def retry_after(self, count: int, now: int) -> int:
        return self._first(lambda at: self.fits(count, at), now)

    def _first(self, holds: Callable[[int], bool], now: int) -> int:
        """
        How long after `now` it holds; what holds once goes on to hold.
        """
        return bisect_left(range(2 * self.window + 1), x=True, key=lambda after: holds(now + after))


class Gcra(Model):
    """
    A bucket that leaks `most` requests per window; the moment at which it will be empty says all.
    """

    def forget(self) -> None:
        self.empty_at = Fraction(0)

    def see(self, now: int) -> None:
        self.empty_at = min(self.empty_at, Fraction(now + self.window))

    def load(self, now: int) -> Fraction:
        return max(Fraction(0), (self.empty_at - now) * self.most / self.window)

    def take(self, count: int, now: int) -> None:
        start = max(self.empty_at, Fraction(now))
        self.empty_at = start + Fraction(count * self.window, self.most)

    def refund(self, count: int, now: int) -> None:
        self.take(-count, now)
        if self.empty_at <= now:
            self.forget()


class SlidingWindow(Model):
    """
    Counts per window, of which the last one's weighs less and less.
    """

    def forget(self) -> None:
        self.start: int | None = None
        self.counts: dict[int, int] = {}  # by the window's number since the start

    def see(self, now: int) -> None:
        if self.start is not None and now < self.start + max(self.counts) * self.window:
            newest = max(self.counts)
            kept = {0: self.counts[newest], -1: self.counts.get(newest - 1, 0)}
            self.start, self.counts = now, kept

    def load(self, now: int) -> Fraction:
        if self.start is None:
            return Fraction(0)
        number, elapsed = divmod(now - self.start, self.window)
        share = Fraction(self.window - elapsed, self.window)
        return self.counts.get(number, 0) + self.counts.get(number - 1, 0) * share

    def take(self, count: int, now: int) -> None:
        if self.start is None or self.load(now) == 0:
            self.start, self.counts = now, {}
        number = (now - self.start) // self.window
        self.counts[number] = self.counts.get(number, 0) + count

    def refund(self, count: int, now: int) -> None:
        if self.start is None:
            return
        number = (now - self.start) // self.window
        for each in (number, number - 1):
            given = min(count, self.counts.get(each, 0))
            self.counts[each] = self.counts.get(each, 0) - given
            count -= given
        if self.load(now) == 0:
            self.forget()


class Log(Model):
    """
    All that has passed in the last window.
    """

    def forget(self) -> None:
        self.passed: list[int] = []

    def see(self, now: int) -> None:
        self.passed = [min(at, now) for at in self.passed if at + self.window > now]

    def load(self, now: int) -> Fraction:
        return Fraction(sum(at + self.window > now for at in self.passed))

    def take(self, count: int, now: int) -> None:
        self.passed += [now] * count

    def refund(self, count: int, now: int) -> None:
        self.passed = self.passed[: max(0, len(self.passed) - count)]


MODELS: dict[str, type[Model]] = {"gcra": Gcra, "sliding_window": SlidingWindow, "log": Log}
