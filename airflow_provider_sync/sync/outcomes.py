"""Collect the outcomes and failures of a run's tables and directories, and continue after a failure.

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
    """The outcome of each table or directory of a run, also of those after a failure.

    :ivar found: reports, or values that contain one
    :ivar failures: the errors, in the order in which they occurred
    """

    def __init__(self) -> None:
        self.found: list[Outcome] = []
        self.failures: list[SyncError] = []

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Add the outcomes of a success."""
        self.found += outcomes

    @contextmanager
    def going_on(self, failed: Callable[[SyncError], Iterable[Outcome]]) -> Iterator[None]:
        """Collect an error of the block and suppress it; wrap an error that is no ``SyncError`` in an ``UnexpectedError``.

        :param failed: returns the outcomes of the tables or directories that the block handled
        """
        try:
            with wrap_unexpected_errors():
                yield
        except SyncError as error:
            self.failures += error.failures
            self.found += failed(error)

    def check(self, reports: Sequence[Report]) -> None:
        """Raise an error if anything failed.

        :param reports: all reports of the run
        :raises SyncFailed: its cause is the first unexpected error (a bug) if there is one, else the first error
        """
        if not self.failures:
            return
        # A bug can be located only by its traceback, so it is preferred as the cause.
        faults = [failure for failure in self.failures if UnexpectedError in (type(failure), type(failure.__cause__))]
        causes = faults or [failure for failure in self.failures if not failure.reports]
        raise SyncFailed.of(self.failures, reports) from next(iter(causes), None)
