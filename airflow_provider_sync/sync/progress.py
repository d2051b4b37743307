"""Report the progress of a sync to its caller, and format it for people."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from airflow_provider_sync.printable import printable
from airflow_provider_sync.report_table import format_bytes

MIN_SECONDS = 5.0
"""Elapsed seconds from which the remaining time can be estimated from the speed."""

MIN_SHARE = 0.02
"""Share of the work that must be done, too, before the estimate: the first file may be the slowest."""

LONG_SECONDS = 60.0
"""Elapsed seconds from which a smaller share is enough."""

RECENT_SECONDS = 30.0
"""Seconds over which the speed is measured: the speed with large files does not predict that with small files after them."""


class Progress(Protocol):
    """A callback for increments of progress; every worker thread calls it."""

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Record progress.

        :param name: name of the table or directory
        :param amount: increment since the last call
        :param unit: ``rows``, ``files`` or ``bytes``
        :param total: expected total, if known
        """


class RowProgress(Protocol):
    """A callback for increments of one table's rows."""

    def __call__(self, count: int, total: int | None = None) -> None:
        """Record progress.

        :param count: number of rows that arrived since the last call
        :param total: expected or estimated total, if known
        """


def row_progress(progress: Progress, name: str) -> RowProgress:
    """Return a callback that reports rows of one table to ``progress``.

    :param name: name of the table
    """

    def take(count: int, total: int | None = None) -> None:
        progress(name, count, "rows", total)

    return take


def silent(name: str, amount: int, unit: str, total: int | None = None) -> None:
    """Ignore progress."""


def together(*parts: Progress) -> Progress:
    """Return a callback that passes progress to each of several callbacks."""

    def tell(name: str, amount: int, unit: str, total: int | None = None) -> None:
        for part in parts:
            part(name, amount, unit, total)

    return tell


class _Amount:
    """The progress in one unit.

    :param done: amount of the first call, which may contain work of an earlier attempt and so does not count for the speed
    :param now: time of that call, in seconds
    """

    def __init__(self, done: int, now: float) -> None:
        self.done = self._before = done
        self.total: int | None = None
        self._samples = deque([(now, done)])

    def add(self, amount: int, now: float) -> None:
        """Add an increment."""
        self.done += amount
        if now - self._samples[-1][0] >= 1:
            self._samples.append((now, self.done))

    def speed(self, now: float) -> float:
        """Return the recent speed, per second."""
        while len(self._samples) > 1 and now - self._samples[1][0] >= RECENT_SECONDS:
            self._samples.popleft()
        since, done = self._samples[0]
        return (self.done - done) / (now - since) if now > since else 0.0

    def seconds_left(self, now: float, elapsed: float) -> float | None:
        """Estimate the remaining time; ``None`` if there is no basis for an estimate."""
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
    """The progress of one table or directory.

    :ivar amounts: the progress in each unit, by unit
    """

    def __init__(self, started: float) -> None:
        self.amounts: dict[str, _Amount] = {}
        self._started = started

    def text(self, now: float) -> str:
        """Format all amounts for people, with the remaining time if it can be estimated."""
        amounts = self.done_text()
        if all(amount.total is None for amount in self.amounts.values()):
            return f"{amounts} so far"
        left = self.left_text(now)
        return f"{amounts}, {left}" if left else amounts

    def done_text(self) -> str:
        """Format the amount done in each unit."""
        return ", ".join(amount.text(unit) for unit, amount in self.amounts.items())

    def left_text(self, now: float) -> str:
        """Format the remaining time; empty if it cannot be estimated."""
        left = self._deciding().seconds_left(now, now - self._started)
        return f"about {_duration(left)} left" if left else ""

    def speed_text(self, now: float) -> str:
        """Format the speed per second, in bytes if those are counted; empty until it is meaningful."""
        unit = "bytes" if "bytes" in self.amounts else next(iter(self.amounts))
        speed = round(self.amounts[unit].speed(now))
        return f"{_with_unit(speed, unit)}/s" if now - self._started >= 1 and speed > 0 else ""

    def _deciding(self) -> _Amount:
        """Return the amount from which to estimate the remaining time: bytes, unless they are not counted or complete."""
        is_over = (size := self.amounts.get("bytes")) is not None and size.total == size.done
        order = sorted(self.amounts, key=lambda unit: (unit == "bytes") == is_over)
        return self.amounts[order[0]]

    def share(self) -> float | None:
        """Return the share that is done of the unit that is furthest behind; ``None`` if no total is known."""
        return min((amount.done / amount.total for amount in self.amounts.values() if amount.total), default=None)


class Amounts:
    """The progress of each table and directory, by name.

    :param clock: a monotonic clock, in seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._works: dict[str, _Work] = {}
        self._lock = Lock()

    def add(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Add an increment under a name; see :class:`Progress`."""
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
        """Format all amounts of a name for people, with an estimate of the remaining time."""
        with self._lock:
            return self._works[name].text(self._clock())

    def columns(self, name: str) -> tuple[str, str, str]:
        """Return three columns of a progress table: amount done, speed and remaining time."""
        with self._lock:
            work, now = self._works[name], self._clock()
            return work.done_text(), work.speed_text(now), work.left_text(now)

    def share(self, name: str) -> float | None:
        """Return the share of a name's work that is done, from 0 to 1; ``None`` if no total is known."""
        with self._lock:
            return self._works[name].share()


class ProgressLines:
    """Writes progress as lines of a log.

    :param write: called with each line
    :param every: seconds between two lines; work that takes less time writes none
    :param clock: a monotonic clock, in seconds
    """

    def __init__(self, write: Callable[[str], object], *, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._every = every
        self._clock = clock
        self._amounts = Amounts(clock)
        self._due = clock() + every
        self._lock = Lock()

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Record progress; see :class:`Progress`."""
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
    """Format a duration for people: ``8 s``, ``12 min``, ``3 h``."""
    for most, size, unit in ((100, 1, "s"), (6_000, 60, "min")):
        if seconds < most:
            return f"{max(1, round(seconds / size))} {unit}"
    return f"{round(seconds / 3600)} h"
