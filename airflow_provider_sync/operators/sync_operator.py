"""Base of all operators that sync: runs a plan, and records, logs and returns its reports."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, Context

from airflow_provider_sync.airflow_support.approval import OnGuard, ask, check_answer, make_question
from airflow_provider_sync.airflow_support.lineage import ReportsLineage
from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import names_in, read_argument
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks, reason_of
from airflow_provider_sync.airflow_support.task_history import record_reports, shown_while_running
from airflow_provider_sync.airflow_support.task_metrics import emit_report_metrics
from airflow_provider_sync.airflow_support.task_spans import emit_report_spans
from airflow_provider_sync.airflow_support.templates import ReportsUndefinedTemplates
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import ConfigurationError, RefusedDeletes, SyncFailed
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.operators.history_link import SyncHistoryLink
from airflow_provider_sync.report import DirectoryReport, Report, TableReport, report_from_dict
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync import run
from airflow_provider_sync.sync.progress import Progress, ProgressLines, silent, together
from airflow_provider_sync.sync.run import RunPlan

SECONDS_BETWEEN_LINES = 30.0
"""Seconds between two progress lines in the log of a long task."""


class SyncOperator(EndsWithItsTask, ReportsUndefinedTemplates, ReportsLineage, BaseOperator):
    """Sync the tables and directories of :meth:`plan`.

    The result is a list of reports, one for each table or directory, in the order of the plan. An error that a retry cannot fix
    fails the task without retries.

    :param sync_conn_id: connection of the sync server
    :param skip_unchanged: skip this task, and with it the downstream tasks, when nothing changed
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        for approval
    """

    template_fields: Sequence[str] = ("sync_conn_id", "skip_unchanged", "is_dry_run", "on_guard")
    ui_color = "#d5e8f0"
    operator_extra_links = (SyncHistoryLink(),)

    reports: tuple[Report, ...] = ()
    """The reports of the current try, for the task's callbacks."""

    _noted: Progress = staticmethod(silent)

    report_kind: ClassVar[type[TableReport] | type[DirectoryReport]]
    names_argument: ClassVar[str]
    """The argument that names the tables or directories."""

    def __init__(
        self,
        *,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        skip_unchanged: bool | str = False,
        dry_run: bool | str = False,
        on_guard: str = OnGuard.FAIL.value,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_conn_id = sync_conn_id
        self.on_guard = on_guard
        self.skip_unchanged = skip_unchanged
        # BaseOperator.dry_run is a method, which `airflow tasks test --dry-run` calls.
        self.is_dry_run = dry_run

    @abstractmethod
    def plan(self) -> RunPlan:
        """Plan the sync from the rendered arguments.

        :raises ConfigurationError: if an argument is wrong; the message names it
        """

    def server(self) -> ClientConfig:
        """Read the connection of the server."""
        return SyncServerHook(read_argument("sync_conn_id", self.sync_conn_id, str)).get_config()

    def dry(self) -> bool:
        """Read ``dry_run``."""
        return read_argument("dry_run", self.is_dry_run, bool)

    def progress(self) -> Progress:
        """Return a callback that logs progress every :data:`SECONDS_BETWEEN_LINES`, and records it for the page *Syncs*."""
        return together(ProgressLines(self.log.info, every=SECONDS_BETWEEN_LINES), self._noted)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Sync, log the reports as a table, and return them.

        :raises AirflowSkipException: when ``skip_unchanged`` is set and nothing changed
        """
        waiting: BaseException | None = None
        with self.failing_tasks(context):
            asks = read_argument("on_guard", self.on_guard, OnGuard) is OnGuard.ASK and not self.dry() and "ti" in context
            skip_unchanged = read_argument("skip_unchanged", self.skip_unchanged, bool)
            config, plan = self.server(), self.plan()
            try:
                reports = self._sync(config, plan)
            except SyncFailed as failure:
                if not (asks and failure.refused):
                    raise
                waiting = self._ask(context, config, plan, failure)
        if waiting is not None:
            raise waiting
        return self.finish(context, config, plan, reports, skip_unchanged=skip_unchanged)

    def _ask(self, context: Context, config: ClientConfig, plan: RunPlan, failure: SyncFailed) -> BaseException:
        """Ask a person whether the sync may go on, and return the exception to raise in order to wait for the answer."""
        done = [report for report in failure.reports if report.status != "failed"]
        question = make_question(
            config, plan, failure.refused, attempt=lambda allowed: self._attempt(config, allowed, done), opener=OPENER
        )
        kwargs = {"refused": question.plain_refused, "done": [report.to_dict() for report in done]}
        waiting = ask(context, question, "execute_after_answer", kwargs)
        self.log.info("A person has to decide whether the sync may delete more than its limits allow:\n%s", question.text)
        return waiting

    def execute_after_answer(
        self, context: Context, event: Mapping[str, Any], refused: Sequence[Mapping[str, Any]], done: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Sync again with the deletes that a person approved, or fail if they were rejected.

        :param event: the answer
        :param refused: the deletes that the question was about; if there are more by now, the task fails
        :param done: reports of the tables and directories that were synced before the question
        :raises AirflowSkipException: when ``skip_unchanged`` is set and nothing changed
        """
        with self.failing_tasks(context):
            allowed = [RefusedDeletes(**entry) for entry in refused]
            check_answer(event, allowed)
            skip_unchanged = read_argument("skip_unchanged", self.skip_unchanged, bool)
            config, plan = self.server(), self.plan().allowing(allowed)
            earlier = list(map(report_from_dict, done))
            before = {(report.kind, report.name): report for report in earlier}
            reports = [
                report if report.changed else before.get((report.kind, report.name), report)
                for report in self._sync(config, plan, earlier)
            ]
        return self.finish(context, config, plan, reports, skip_unchanged=skip_unchanged)

    def _sync(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report] = ()) -> list[Report]:
        """Run the sync.

        :param done: reports of the tables and directories that were synced before a question
        """
        # With resume, staged rows of a failed try are kept for the next try: Airflow's retry, or the task cleared by hand.
        return run(config, plan, opener=OPENER, dry_run=self.dry(), resume=True, progress=self.progress())

    def _attempt(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report]) -> None:
        """Raise what :meth:`_sync` would raise if a guard would stop it; change nothing."""
        run(config, plan, opener=OPENER, dry_run=True)

    @contextmanager
    def failing_tasks(self, context: Context) -> Iterator[None]:
        """Turn errors of the block into Airflow's, and record their reports, or report everything that is named as failed."""
        with failing_tasks(), shown_while_running(context, self.names, group=self.series) as self._noted:
            try:
                yield
            except SyncFailed as failure:
                self.record(context, failure.reports)
                raise
            except BaseException as error:
                self.record(context, self.failed_reports(reason_of(error)))
                raise

    def failed_reports(self, reason: str) -> list[Report]:
        """Report each table or directory that the arguments name as failed, or the task if they cannot be read."""
        return [self.report_kind(name=name, status="failed", error=reason) for name in self.names or [self.task_id]]

    @property
    def names(self) -> list[str]:
        """The tables or directories that the arguments name; empty if the arguments cannot be read."""
        return names_in(getattr(self, self.names_argument))

    @property
    def series(self) -> str | None:
        """The id of the task group whose tasks are the steps of one sync; ``None`` if this task is the whole sync."""
        return None

    def record(self, context: Context, reports: Sequence[Report]) -> None:
        """Keep the reports for callbacks; unless this is a dry run, write them to the history, as metrics and as spans."""
        self.reports = tuple(reports)
        try:
            dry_run = self.dry()
        except ConfigurationError:
            dry_run = False  # the argument itself is the failure to record
        if not dry_run:
            record_reports(context, reports, group=self.series)
            emit_report_metrics(context, reports)
            emit_report_spans(reports)

    def finish(
        self, context: Context, config: ClientConfig, plan: RunPlan, reports: Sequence[Report], *, skip_unchanged: bool = False
    ) -> list[dict[str, Any]]:
        """Record the reports, log them as a table, emit asset events and lineage, and return the reports as plain data.

        :raises AirflowSkipException: when ``skip_unchanged`` is set and nothing changed
        """
        self.record(context, reports)
        self.log.info("\n%s", format_reports(reports))
        if skip_unchanged and not any(report.changed for report in reports):
            raise AirflowSkipException("Everything is up to date.")
        self.publish(context, config, plan, reports)
        return [report.to_dict() for report in reports]
