"""How a sync tells its caller how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with increments, from the thread that works."""

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note of progress.

        :param name: of the table or directory
        :param amount: how many more are done
        :param unit: ``rows``, ``files`` or ``bytes``
        :param total: how many there will be in all, where that is known
        """


def silent(name: str, amount: int, unit: str, total: int | None = None) -> None:
    """Show nothing."""
