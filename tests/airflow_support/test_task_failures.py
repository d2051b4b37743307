"""How errors of a sync end a task."""

from __future__ import annotations

import logging

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
)

from airflow_provider_sync.airflow_support.callback_reports import reports_of
from airflow_provider_sync.airflow_support.task_failures import failing_tasks, reason_of
from airflow_provider_sync.exceptions import GuardError, ServerError, SyncError, SyncFailed, TransportError
from airflow_provider_sync.report import TableReport


@pytest.mark.parametrize("error", [TransportError("No answer."), ServerError("Too busy.", 503)])
def test_what_may_pass_fails_the_try(error: SyncError) -> None:
    """After a transient error, the task keeps its retries."""
    with pytest.raises(AirflowException) as caught, failing_tasks():
        raise error
    assert not isinstance(caught.value, AirflowFailException)
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [GuardError("Would delete 3 of 4 rows."), ServerError("Who are you?", 401)])
def test_what_stays_fails_the_task(error: SyncError) -> None:
    """A permanent error fails the task at once."""
    with pytest.raises(AirflowFailException) as caught, failing_tasks():
        raise error
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error


def test_a_missing_connection_fails_the_task() -> None:
    """A connection that Airflow does not have fails the task at once, with the next step."""
    with pytest.raises(AirflowFailException, match="Add the connection"), failing_tasks():
        raise AirflowNotFoundException("The conn_id `nowhere` isn't defined")


def test_a_task_out_of_time_is_told_so() -> None:
    """Records and messages do not call the end of execution_timeout an unexpected error."""
    error = AirflowTaskTimeout("Timeout, PID: 7")
    assert reason_of(error) == "The task did not end within its execution_timeout."
    assert reports_of({"exception": error, "reason": None}).error == reason_of(error)


def test_reports_of_a_failed_run_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log shows the report of each table of a failed run."""
    reports = [TableReport(name="orders", status="changed"), TableReport(name="items", status="failed", error="No such table.")]
    with caplog.at_level(logging.ERROR), pytest.raises(AirflowFailException), failing_tasks():
        raise SyncFailed("No such table.", reports, False)
    assert "orders  changed" in caplog.text
    assert "items: failed: No such table." in caplog.text


def test_other_errors_pass() -> None:
    """An error that is not from a sync is not changed."""
    with pytest.raises(ZeroDivisionError), failing_tasks():
        raise ZeroDivisionError
