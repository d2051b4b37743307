"""What the operators that run a whole sync share: run a plan, log its reports, return them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, AirflowSkipException, BaseOperator, Context

from airflow_provider_sync.airflow_support.database_hooks import engine_from_connection
from airflow_provider_sync.airflow_support.lineage import ReportsLineage
from airflow_provider_sync.airflow_support.recording import record_reports
from airflow_provider_sync.airflow_support.rendered_arguments import TemplatesReadLater, converted, named
from airflow_provider_sync.airflow_support.storage import storage_from_path
from airflow_provider_sync.airflow_support.task_failures import EndsWithItsTask, failing_tasks, reason_of
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.operators.history_link import SyncHistoryLink
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync import Opener, run
from airflow_provider_sync.sync.progress import Progress, ProgressLines
from airflow_provider_sync.sync.run import RunPlan

Opened = TypeVar("Opened")


def _with_connections(opens: Callable[[str], Opened]) -> Callable[[str], Opened]:
    """Make a connection that is not there an error of what needs it, so that the rest of a run goes on."""

    def opened(place: str) -> Opened:
        try:
            return opens(place)
        except AirflowNotFoundException as error:
            raise ConfigurationError(reason_of(error)) from error

    return opened


OPENER = Opener(engine=_with_connections(engine_from_connection), storage=_with_connections(storage_from_path))

SECONDS_BETWEEN_LINES = 30.0
"""How often the log of a long task says how far it is."""


class SyncOperator(EndsWithItsTask, TemplatesReadLater, ReportsLineage, BaseOperator):
    """Run what :meth:`plan` says.

    The result is a list of reports, one for each table or directory, in their order. What no retry can fix fails the
    task at once.

    :param sync_conn_id: connection of the server
    :param skip_unchanged: skip the task, and so what follows it, when there was nothing to do
    :param dry_run: report what would change, and write nothing
    """

    template_fields: Sequence[str] = ("sync_conn_id", "skip_unchanged", "is_dry_run")
    ui_color = "#d5e8f0"
    operator_extra_links = (SyncHistoryLink(),)

    single_transaction: bool | str = True

    report_kind: ClassVar[type[TableReport] | type[DirectoryReport]]
    names_argument: ClassVar[str]
    """The argument with the names of what is synced."""

    def __init__(
        self,
        *,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        skip_unchanged: bool | str = False,
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_conn_id = sync_conn_id
        self.skip_unchanged = skip_unchanged
        # BaseOperator.dry_run is a method, which `airflow tasks test --dry-run` calls.
        self.is_dry_run = dry_run

    @abstractmethod
    def plan(self) -> RunPlan:
        """Read the arguments, whose templates are rendered by now.

        :raises ConfigurationError: naming the argument that is wrong
        """

    def server(self) -> ClientConfig:
        """Read the connection of the server."""
        return SyncServerHook(converted("sync_conn_id", self.sync_conn_id, str)).get_config()

    def client(self) -> SyncClient:
        """Make a client for the server."""
        return SyncClient.from_config(self.server())

    def progress(self) -> Progress:
        """Return what writes into the task's log, now and then, how far the work is."""
        return ProgressLines(self.log.info, every=SECONDS_BETWEEN_LINES)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Sync, log the reports as a table, and return them.

        :raises AirflowSkipException: when ``skip_unchanged`` is set and there was nothing to do
        """
        with self.failing_tasks(context):
            skip_unchanged = converted("skip_unchanged", self.skip_unchanged, bool)
            single_transaction = converted("single_transaction", self.single_transaction, bool)
            config = self.server().model_copy(update={"single_transaction": single_transaction})
            plan = self.plan()
            # What a try that was cut has staged is left for the next: Airflow's retry, or the task cleared by hand.
            dry_run = converted("dry_run", self.is_dry_run, bool)
            reports = run(config, plan, opener=OPENER, dry_run=dry_run, resume=True, progress=self.progress())
        self.record(context, reports)
        self.log.info("\n%s", format_reports(reports))
        if skip_unchanged and not any(report.changed for report in reports):
            raise AirflowSkipException("Everything is up to date.")
        return self.finish(context, config, plan, reports)

    @contextmanager
    def failing_tasks(self, context: Context) -> Iterator[None]:
        """End the task correctly when the block fails, and record the reports of what failed; of everything if there are none."""
        with failing_tasks():
            try:
                yield
            except SyncFailed as failure:
                self.record(context, failure.reports)
                raise
            except BaseException as error:
                names = named(getattr(self, self.names_argument)) or [self.task_id]
                reason = reason_of(error)
                self.record(context, [self.report_kind(name=name, status="failed", error=reason) for name in names])
                raise

    @property
    def series(self) -> str | None:
        """The id of the task group whose tasks are the steps of one sync; ``None`` for a whole one."""
        return None

    def record(self, context: Context, reports: Sequence[Report]) -> None:
        """Keep the reports in the history, unless nothing was to be written."""
        try:
            dry_run = converted("dry_run", self.is_dry_run, bool)
        except ConfigurationError:
            dry_run = False  # this is the failure to record
        if not dry_run:
            record_reports(context, reports, group=self.series)

    def finish(self, context: Context, config: ClientConfig, plan: RunPlan, reports: Sequence[Report]) -> list[dict[str, Any]]:
        """Tell Airflow what was done, and return it as JSON has it."""
        self.publish(context, config, plan, reports)
        return [report.to_dict() for report in reports]
