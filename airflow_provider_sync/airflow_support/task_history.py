"""Record running and finished tasks in the history of syncs, and open that history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.airflow_support.settings import read_settings
from airflow_provider_sync.history import History, Origin, open_history, record_or_warn
from airflow_provider_sync.report import Report
from airflow_provider_sync.sync.noted_progress import noted_while_running
from airflow_provider_sync.sync.progress import Progress, silent


def record_reports(context: Context, reports: Sequence[Report], *, group: str | None = None) -> None:
    """Record a task's reports in the history that ``[sync] history`` names; an error is only a warning in the task's log.

    :param context: of the task; outside of a run, where it has no task instance, nothing is recorded
    :param group: id of the task group whose tasks are the steps of one sync, so that their records are one series; without
        it the task has a series of its own
    """
    origin = origin_of(context, group=group)
    if origin is not None:
        record_or_warn(open_airflow_history, reports, origin)


def origin_of(context: Context, *, group: str | None = None) -> Origin | None:
    """Return the origin for the records of a task; ``None`` outside of a run."""
    instance = context.get("ti")
    if instance is None:
        return None
    return Origin(
        source="task",
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=instance.map_index,
        try_number=instance.try_number,
        job=None if group is None else f"{instance.dag_id}/{group}",
    )


def open_airflow_history() -> History:
    """Return the history that ``[sync] history`` names.

    :raises ConfigurationError: when it cannot be used
    """
    settings = read_settings()
    return open_history(settings.history, days=settings.history_days, open_engine=engine_from_connection)


@contextmanager
def shown_while_running(context: Context, names: Sequence[str], *, group: str | None = None) -> Iterator[Progress]:
    """Record a task as running in the history of syncs during the block, and yield the callback for its progress.

    :param names: names of the tables and directories
    :param group: id of the task group whose tasks are the steps of one sync
    """
    origin = origin_of(context, group=group)
    if origin is None:
        yield silent
        return
    with noted_while_running(open_airflow_history, origin, names) as noted:
        yield noted
