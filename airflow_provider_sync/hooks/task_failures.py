"""How an error of a sync ends a task: the one place where the core's exceptions become Airflow's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.report_table import format_reports

log = logging.getLogger(__name__)


@contextmanager
def failing_tasks() -> Iterator[None]:
    """Turn a :class:`SyncError` of the block into the exception that ends the task rightly.

    What may pass by itself fails this try; anything else fails the task at once, whatever its ``retries``. The
    reports of a run that failed are logged first, so that it shows how far each table or directory came.

    :raises AirflowException: for an error that may pass
    :raises AirflowFailException: for an error that somebody has to mend
    """
    try:
        yield
    except AirflowNotFoundException as error:
        raise AirflowFailException(f"{str(error).rstrip('.')}. Add the connection, or name another one.") from error
    except SyncError as error:
        if isinstance(error, SyncFailed):
            log.error("\n%s", format_reports(error.reports))
        raise (AirflowException if error.retryable else AirflowFailException)(str(error)) from error
