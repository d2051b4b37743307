"""How a sync reports its progress to its caller, and how that is written for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from airflow_provider_sync.report_table import format_bytes

MIN_SECONDS = 5.0
"""Seconds after which the speed says something about the time that is left."""


class Progress(Protocol):
    """Called with increments, from every thread that works."""

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress.

        :param name: name of the table or directory
        :param amount: how many more are done
        :param unit: ``rows``, ``files`` or ``bytes``
        :param total: how many there will be in all, if that is known
        """


def silent(name: str, amount: int, unit: str, total: int | None = None) -> None:
    """Show nothing."""


@dataclass(slots=True)
class _Amount:
    """How much of one unit is done.

    :ivar before: what the first call told, which may have been there before this sync began
    """

    done: int
    before: int
    total: int | None = None

    def seconds_left(self, elapsed: float) -> float | None:
        """Estimate how long the rest takes; ``None`` if that cannot be known."""
        gained = self.done - self.before
        return elapsed * (self.total - self.done) / gained if self.total is not None and gained > 0 else None

    def text(self, unit: str) -> str:
        """Write the amount for people."""
        done, total = (None if count is None else _with_unit(count, unit) for count in (self.done, self.total))
        if total is None:
            return str(done)
        return f"{done} of {total}" if unit == "bytes" else f"{self.done:,} of {total}"


class _Work:
    """What is done under one name.

    :ivar amounts: by unit
    """

    def __init__(self, started: float) -> None:
        self.amounts: dict[str, _Amount] = {}
        self._started = started

    def text(self, now: float) -> str:
        """Write all amounts for people, with the time that is left if that can be known."""
        amounts = ", ".join(amount.text(unit) for unit, amount in self.amounts.items())
        if all(amount.total is None for amount in self.amounts.values()):
            return f"{amounts} so far"
        elapsed = now - self._started
        # The slower unit decides: many small files take longer than their bytes let one expect.
        left = max((left for amount in self.amounts.values() if (left := amount.seconds_left(elapsed)) is not None), default=0)
        return f"{amounts}, about {_duration(left)} left" if elapsed >= MIN_SECONDS and left > 0 else amounts

    def share(self) -> float | None:
        """Return how much is done, of the unit that is furthest behind; ``None`` if no total is known."""
        return min((amount.done / amount.total for amount in self.amounts.values() if amount.total), default=None)


class Amounts:
    """How much of each unit is done, by name.

    :param clock: seconds of a clock that never goes back
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._works: dict[str, _Work] = {}
        self._lock = Lock()

    def add(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Add an amount under a name; see :class:`Progress`."""
        with self._lock:
            work = self._works.get(name)
            if work is None:
                work = self._works[name] = _Work(self._clock())
            known = work.amounts.get(unit)
            if known is None:
                known = work.amounts[unit] = _Amount(amount, amount)
            else:
                known.done += amount
            if total is not None:
                known.total = total

    def text(self, name: str) -> str:
        """Write all amounts of a name for people, with an estimate of the time that is left."""
        with self._lock:
            return self._works[name].text(self._clock())

    def share(self, name: str) -> float | None:
        """Return how much of a name's work is done, from 0 to 1; ``None`` if that cannot be known."""
        with self._lock:
            return self._works[name].share()


class ProgressLines:
    """Progress as lines of a log.

    :param write: called with each line
    :param every: seconds between two lines; work that takes less time writes none
    :param clock: seconds of a clock that never goes back
    """

    def __init__(self, write: Callable[[str], object], *, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._every = every
        self._clock = clock
        self._amounts = Amounts(clock)
        self._due = clock() + every
        self._lock = Lock()

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress; see :class:`Progress`."""
        self._amounts.add(name, amount, unit, total)
        if self._is_due():
            self._write(f"{name}: {self._amounts.text(name)}")

    def _is_due(self) -> bool:
        with self._lock:
            if (now := self._clock()) < self._due:
                return False
            self._due = now + self._every
            return True


def _with_unit(count: int, unit: str) -> str:
    return format_bytes(count) if unit == "bytes" else f"{count:,} {unit}"


def _duration(seconds: float) -> str:
    """Write a duration for people: ``8 s``, ``12 min``, ``3 h``."""
    for most, size, unit in ((100, 1, "s"), (6_000, 60, "min")):
        if seconds < most:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 3600)} h"
