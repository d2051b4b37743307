"""What the operators that do one step of a sync share: their tasks are recorded as one sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.report import DirectoryReport, TableReport


class StepReports:
    """Record a step as a part of its group; comes before the operator."""

    task_id: str

    @property
    def series(self) -> str | None:
        """The id of the group, with which the ids of its tasks begin."""
        return self.task_id.rpartition(".")[0] or None


@contextmanager
def failing_as(kind: type[TableReport] | type[DirectoryReport], name: str) -> Iterator[None]:
    """Make an error of the block the failure of a table or directory, with its report.

    :raises SyncFailed: for any other :class:`SyncError`
    """
    try:
        yield
    except SyncFailed:
        raise
    except SyncError as error:
        report = kind(name=name, status="failed", error=str(error))
        raise SyncFailed(str(error), (report,), error.retryable) from error
