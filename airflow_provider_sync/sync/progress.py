"""How a sync reports its progress to its caller, and how that is written for people."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from airflow_provider_sync.printable import printable
from airflow_provider_sync.report_table import format_bytes

MIN_SECONDS = 5.0
"""Seconds after which the speed says something about the time that is left."""

MIN_SHARE = 0.02
"""Share of the work after which it does, too: the first file may be the slowest."""

LONG_SECONDS = 60.0
"""Seconds after which it does with a smaller share."""

RECENT_SECONDS = 30.0
"""How far back the speed is measured: where small files follow large ones, the speed of those says nothing about these."""


class Progress(Protocol):
    """Called with increments, from every thread that works."""

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress.

        :param name: name of the table or directory
        :param amount: how many more are done
        :param unit: ``rows``, ``files`` or ``bytes``
        :param total: how many there will be in all, if that is known
        """


class RowProgress(Protocol):
    """Called with increments of one table's rows."""

    def __call__(self, count: int, total: int | None = None) -> None:
        """Take note of progress.

        :param count: how many more rows arrived
        :param total: how many there will be in all, or about how many, if that is known
        """


def row_progress(progress: Progress, name: str) -> RowProgress:
    """Return what notes the progress of one table's rows.

    :param name: of the table
    """

    def take(count: int, total: int | None = None) -> None:
        progress(name, count, "rows", total)

    return take


def silent(name: str, amount: int, unit: str, total: int | None = None) -> None:
    """Show nothing."""


def together(*parts: Progress) -> Progress:
    """Return what tells each part of the progress."""

    def tell(name: str, amount: int, unit: str, total: int | None = None) -> None:
        for part in parts:
            part(name, amount, unit, total)

    return tell


class _Amount:
    """How much of one unit is done.

    :param done: what the first call told, which may have been there before this sync began
    :param now: when that was, in seconds
    """

    def __init__(self, done: int, now: float) -> None:
        self.done = self._before = done
        self.total: int | None = None
        self._samples = deque([(now, done)])

    def add(self, amount: int, now: float) -> None:
        """Take note of more that is done."""
        self.done += amount
        if now - self._samples[-1][0] >= 1:
            self._samples.append((now, self.done))

    def speed(self, now: float) -> float:
        """Return how many were done in a second lately."""
        while len(self._samples) > 1 and now - self._samples[1][0] >= RECENT_SECONDS:
            self._samples.popleft()
        since, done = self._samples[0]
        return (self.done - done) / (now - since) if now > since else 0.0

    def seconds_left(self, now: float, elapsed: float) -> float | None:
        """Estimate how long the rest takes; ``None`` if that cannot be known."""
        if self.total is None or elapsed < MIN_SECONDS or (speed := self.speed(now)) <= 0:
            return None
        is_enough = elapsed >= LONG_SECONDS or self.done - self._before >= MIN_SHARE * (self.total - self._before)
        return (self.total - self.done) / speed if is_enough else None

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
        amounts = self.done_text()
        if all(amount.total is None for amount in self.amounts.values()):
            return f"{amounts} so far"
        left = self.left_text(now)
        return f"{amounts}, {left}" if left else amounts

    def done_text(self) -> str:
        """Write how much is done, of each unit."""
        return ", ".join(amount.text(unit) for unit, amount in self.amounts.items())

    def left_text(self, now: float) -> str:
        """Write how long the rest takes; empty if that cannot be known."""
        left = self._deciding().seconds_left(now, now - self._started)
        return f"about {_duration(left)} left" if left else ""

    def speed_text(self, now: float) -> str:
        """Write how much is done in a second, in bytes if those are counted; empty as long as that says nothing."""
        unit = "bytes" if "bytes" in self.amounts else next(iter(self.amounts))
        speed = round(self.amounts[unit].speed(now))
        return f"{_with_unit(speed, unit)}/s" if now - self._started >= 1 and speed > 0 else ""

    def _deciding(self) -> _Amount:
        """Return the amount that says how long the rest takes: bytes, unless they are not counted, or all there."""
        is_over = (told := self.amounts.get("bytes")) is not None and told.total == told.done
        order = sorted(self.amounts, key=lambda unit: (unit == "bytes") == is_over)
        return self.amounts[order[0]]

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
            now = self._clock()
            work = self._works.get(name)
            if work is None:
                work = self._works[name] = _Work(now)
            known = work.amounts.get(unit)
            if known is None:
                known = work.amounts[unit] = _Amount(amount, now)
            else:
                known.add(amount, now)
            if total is not None:
                known.total = total
            if known.total is not None and known.done > known.total:
                # It was an estimate, and too low.
                known.total = None

    def text(self, name: str) -> str:
        """Write all amounts of a name for people, with an estimate of the time that is left."""
        with self._lock:
            return self._works[name].text(self._clock())

    def columns(self, name: str) -> tuple[str, str, str]:
        """Write for a row of a table how much is done, how much of it in a second, and how long the rest takes."""
        with self._lock:
            work, now = self._works[name], self._clock()
            return work.done_text(), work.speed_text(now), work.left_text(now)

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
            self._write(f"{printable(name)}: {self._amounts.text(name)}")

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
