"""The operator that checks, without writing, whether targets equal their source and were synced recently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, Context, ObjectStoragePath

from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import (
    connection_of,
    read_argument,
    read_directories,
    read_duration,
    read_tables,
)
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks
from airflow_provider_sync.airflow_support.task_history import open_airflow_history
from airflow_provider_sync.airflow_support.task_metrics import emit_state_metrics
from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ConfigurationError, StaleCopyError, SyncFailed
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.printable import printable
from airflow_provider_sync.report import Report
from airflow_provider_sync.sync import diff_run
from airflow_provider_sync.sync.freshness import CopyState, SyncTimes, check_copies, judge_copy
from airflow_provider_sync.sync.run import RunPlan


class SyncCheckOperator(EndsWithItsTask, ReportsUndefinedTemplates, BaseOperator):
    """Fail if a table or directory differs from its source, or was not synced recently; nothing is written.

    The error names each such table or directory, and how much it differs or how old it is. The error is retryable: a retry
    passes if a sync ran in the meantime. The result is a list with the state of each table and directory. If the check itself
    fails, for example because the server does not answer, the task fails even with ``soft_fail``. All arguments are template
    fields.

    .. seealso:: The how-to guide "Know when a copy is stale".

    :param tables: a name, a list of names, or a mapping of names to options, as ``TableSyncOperator`` takes them
    :param directories: the same, as ``FileSyncOperator`` takes them
    :param target_conn_id: connection of the target database
    :param path: path of the target files, as ``FileSyncOperator`` takes it
    :param sync_conn_id: connection of the sync server
    :param compare: whether to compare source and target; if false, only ``max_age`` is checked
    :param max_age: maximum age of the last successful sync in the history: a ``timedelta``, a number of seconds, or text such as
        ``30m``, ``2h`` or ``1d``
    :param job: count only syncs of this job, named as on the page *Syncs*: ``DAG/TASK`` or ``DAG/GROUP``; any job by default
    :param soft_fail: skip this task, and with it the downstream tasks, instead of failing
    """

    template_fields: Sequence[str] = (
        "tables",
        "directories",
        "target_conn_id",
        "path",
        "sync_conn_id",
        "compare",
        "max_age",
        "job",
        "soft_fail",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tables": "json", "directories": "json"}
    ui_color = "#e4f0d5"

    def __init__(
        self,
        *,
        tables: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None = None,
        directories: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None = None,
        target_conn_id: str | None = None,
        path: str | PathLike[str] | ObjectStoragePath | None = None,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        compare: bool | str = True,
        max_age: timedelta | float | str | None = None,
        job: str | None = None,
        soft_fail: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tables = tables
        self.directories = directories
        self.target_conn_id = target_conn_id
        self.path = path
        self.sync_conn_id = sync_conn_id
        self.compare = compare
        self.max_age = max_age
        self.job = job
        self.soft_fail = soft_fail

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Check each table and directory, and log and return its state.

        :raises AirflowSkipException: if a check fails and ``soft_fail`` is set
        """
        with failing_tasks():
            soft_fail = read_argument("soft_fail", self.soft_fail, bool)
            states = self._states()
            for state in states:
                self.log.info("%s %s: %s", state.kind, printable(state.name), " ".join(state.problems) or "as it should be")
            emit_state_metrics(context, states)
            try:
                check_copies(states)
            except StaleCopyError as error:
                if not soft_fail:
                    raise
                raise AirflowSkipException(str(error)) from error
        return [state.to_dict() for state in states]

    def plan(self) -> RunPlan:
        """Plan the tables and directories to check.

        :raises ConfigurationError: if there are none
        """
        if self.tables is None and self.directories is None:
            raise ConfigurationError("There is nothing to check. Give 'tables' or 'directories'.")
        tables = [] if self.tables is None else read_tables("tables", self.tables, {})
        directories = [] if self.directories is None else read_directories("directories", self.directories, self.path, {})
        return RunPlan.of(((connection_of(table, self.target_conn_id), table) for table in tables), directories)

    def _states(self) -> list[CopyState]:
        max_age = None if self.max_age is None else read_duration("max_age", self.max_age)
        job = None if self.job is None else read_argument("job", self.job, str)
        now = datetime.now(UTC)
        found = self._compared() if read_argument("compare", self.compare, bool) else self._named(max_age)
        if max_age is None:
            return [judge_copy(name, kind, report=report) for name, kind, report in found]
        history = open_airflow_history()
        states = []
        for name, kind, report in found:
            last = history.last_success(name, kind, job=job)
            times = SyncTimes(last_success=None if last is None else last.finished, max_age=max_age, now=now)
            states.append(judge_copy(name, kind, report=report, times=times))
        return states

    def _compared(self) -> Sequence[tuple[str, str, Report | None]]:
        hook = SyncServerHook(read_argument("sync_conn_id", self.sync_conn_id, str))
        found = diff_run(hook.get_config(), self.plan(), opener=OPENER)
        if found.failures:
            raise SyncFailed.of(found.failures, found.reports)
        return [(report.name, report.kind, report) for report in found.reports]

    def _named(self, max_age: timedelta | None) -> Sequence[tuple[str, str, Report | None]]:
        if max_age is None:
            raise ConfigurationError("With 'compare' off there is nothing to check but 'max_age'. Give one of both.")
        plan = self.plan()
        if plan.patterns:
            hook = SyncServerHook(read_argument("sync_conn_id", self.sync_conn_id, str))
            with SyncClient.from_config(hook.get_config()) as client:
                plan = plan.resolved(client)
        tables = [table.name for group in plan.tables.values() for table in group]
        return [(name, "table", None) for name in tables] + [(entry.name, "directory", None) for entry in plan.directories]
