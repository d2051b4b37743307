"""The one place that goes on after a failure: what became of each table and directory of a run, and which of them failed.

Why all tables of one transaction fail when one of them does is in :mod:`.tables.failures`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from airflow_provider_sync.exceptions import SyncError, SyncFailed, UnexpectedError, wrap_unexpected_errors
from airflow_provider_sync.report import Report

Outcome = TypeVar("Outcome")


class Outcomes(Generic[Outcome]):
    """What became of each thing that a run is about, the rest even when one fails.

    :ivar found: reports, or values that have one
    :ivar failures: the errors of what failed, in the order in which it was tried
    """

    def __init__(self) -> None:
        self.found: list[Outcome] = []
        self.failures: list[SyncError] = []

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what came of something that succeeded."""
        self.found += outcomes

    @contextmanager
    def going_on(self, failed: Callable[[SyncError], Iterable[Outcome]]) -> Iterator[None]:
        """Keep an error of the block, and go on after it; one that is no ``SyncError`` is kept as an ``UnexpectedError``.

        :param failed: returns the outcomes of what the block was about
        """
        try:
            with wrap_unexpected_errors():
                yield
        except SyncError as error:
            self.failures += error.failures
            self.found += failed(error)

    def check(self, reports: Sequence[Report]) -> None:
        """Raise what failed.

        :param reports: of everything
        :raises SyncFailed: when anything did; its cause is the fault, if any is one of this program, or else the first error
        """
        if not self.failures:
            return
        # Where a fault of this program is shows only in its traceback.
        faults = [failure for failure in self.failures if UnexpectedError in (type(failure), type(failure.__cause__))]
        causes = faults or [failure for failure in self.failures if not failure.reports]
        raise SyncFailed.of(self.failures, reports) from next(iter(causes), None)
