"""How a sync reports its progress to its caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called with increments, from the thread that works."""

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress.

        :param name: name of the table or directory
        :param amount: how many more are done
        :param unit: ``rows``, ``files`` or ``bytes``
        :param total: how many there will be in all, if that is known
        """


def silent(name: str, amount: int, unit: str, total: int | None = None) -> None:
    """Show nothing."""


class Amounts:
    """How much of each unit is done, by name."""

    def __init__(self) -> None:
        self._amounts: dict[str, dict[str, int]] = {}

    def add(self, name: str, amount: int, unit: str) -> str:
        """Add an amount under a name, and return all amounts of that name as text for people."""
        amounts = self._amounts.setdefault(name, {})
        amounts[unit] = amounts.get(unit, 0) + amount
        return ", ".join(f"{done:,} {unit}" for unit, done in amounts.items())


class ProgressLines:
    """Progress as lines of a log.

    :param write: called with each line
    :param every: seconds between two lines; work that takes less time writes none
    """

    def __init__(self, write: Callable[[str], object], *, every: float) -> None:
        self._write = write
        self._every = every
        self._amounts = Amounts()
        self._due = time.monotonic() + every

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress; see :class:`Progress`."""
        amounts = self._amounts.add(name, amount, unit)
        if time.monotonic() >= self._due:
            self._write(f"{name}: {amounts}{f' of {total:,}' if total else ''} so far")
            self._due = time.monotonic() + self._every
