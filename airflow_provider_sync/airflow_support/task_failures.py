"""Turn the exceptions of the core into those that end an Airflow task; no other module does that."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
)

from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals, current_cancellation, notes_of
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.printable import reason
from airflow_provider_sync.report_table import format_reports

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""Longest time, in seconds, for a database to take the request to cancel: Airflow kills a task five seconds after SIGTERM."""


class EndsWithItsTask:
    """Cancel the work of a task when Airflow ends the task; a mixin before the operator."""

    def on_kill(self) -> None:
        """Cancel statements and requests; Airflow calls this at SIGTERM, which also ends the block of :func:`failing_tasks`."""
        if (cancellation := current_cancellation()) is not None:
            cancellation.cancel()
            cancellation.wait()


@contextmanager
def failing_tasks() -> Iterator[None]:
    """Turn a :class:`SyncError` of the block into the exception that ends the task correctly.

    A transient error fails this try; any other error fails the task without retries. The reports of a failed run are logged
    first, so that the log shows the state of each table and directory. When Airflow ends the task, by SIGTERM or after its
    ``execution_timeout``, running statements and requests of the block are cancelled.

    :raises AirflowException: for a transient error, and for a task that was ended by SIGTERM
    :raises AirflowFailException: for an error that a retry cannot fix
    """
    try:
        with cancelled_by_signals(patience=PATIENCE_SECONDS):
            yield
    except SyncCancelled as ended:
        log.warning(
            "The task was ended from outside: statements were cancelled, and what was not committed was rolled back.%s",
            notes_of(ended),
        )
        raise AirflowException(reason_of(ended)) from ended
    except AirflowNotFoundException as error:
        raise AirflowFailException(reason_of(error)) from None
    except SyncError as error:
        if isinstance(error, SyncFailed):
            log.error("\n%s", format_reports(error.reports))
        raise (AirflowException if error.retryable else AirflowFailException)(str(error)) from error


def reason_of(error: BaseException) -> str:
    """Return the reason why a task failed, in one or two sentences."""
    match error:
        case SyncCancelled():
            return f"The task was ended by {signal.Signals(error.number).name}.{notes_of(error)}"
        case AirflowTaskTimeout():
            return f"The task did not end within its execution_timeout.{notes_of(error)}"
        case AirflowNotFoundException():
            return f"{str(error).rstrip('.')}. Add the connection, or name another one."
        case SyncError():
            return str(error)
    return f"An unexpected error, {type(error).__name__}: {reason(error)}. The task's log shows where."
