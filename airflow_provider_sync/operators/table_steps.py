"""The steps of a table's sync as tasks of their own: compare, download, merge.

Each may run on another worker: between them there are only their results, and staging tables in the target's database.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_provider_sync.airflow_support.rendered_arguments import converted, number_of_tasks, results_of_steps
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed
from airflow_provider_sync.operators.step_reports import StepReports, failing_as
from airflow_provider_sync.operators.sync_operator import OPENER
from airflow_provider_sync.operators.table_operator import TableOperator
from airflow_provider_sync.report import Report, TableReport
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync.tables.failures import is_of_the_server
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_slices import merge_slices
from airflow_provider_sync.sync.tables.steps import compare_table, download_slice


class TableStepOperator(StepReports, TableOperator):
    """What the steps have in common; all take the arguments of :class:`~.table_sync.TableSyncOperator`, and need the same."""

    def find_table(self, name: str) -> tuple[str, TargetTable]:
        """Return the connection and the options of a table that a step before has named.

        :raises ConfigurationError: when this task's ``tables`` do not have it
        """
        for conn_id, tables in self.plan().tables.items():
            for table in tables:
                if table.name == name:
                    return conn_id, table
        raise ConfigurationError(f"The step before names the table {name!r}, which 'tables' does not. Give all steps the same.")


class TableCompareOperator(TableStepOperator):
    """Compare tables with the source, and cut what has to be downloaded into slices.

    The result is a list of slices, each for one :class:`TableDownloadOperator`. When all tables are up to date, the task is
    skipped, and so is what follows it.

    :param slices: most slices, of all tables together
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "slices")

    def __init__(self, *, slices: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare.

        :raises AirflowSkipException: when there is nothing to do
        """
        found: list[PlannedSlice] = []
        unchanged: list[TableReport] = []
        failures: list[SyncFailed] = []
        with self.failing_tasks(context):
            dry_run = converted("dry_run", self.is_dry_run, bool)
            most = number_of_tasks("slices", self.slices)
            tables = self.plan().tables
            each = max(1, most // sum(map(len, tables.values())))
            with self.client() as client:
                for conn_id, group in tables.items():
                    with OPENER.database(conn_id) as database:
                        for table in group:
                            try:
                                with failing_as(TableReport, table.name):
                                    outcome = compare_table(
                                        client, table, database, run=_run_of(context), slices=each, dry_run=dry_run
                                    )
                            except SyncFailed as failure:
                                failures.append(failure)
                                if is_of_the_server(failure.__cause__):
                                    break
                                continue
                            if isinstance(outcome, TableReport):
                                unchanged.append(outcome)
                            else:
                                found += outcome
            if failures:
                raise SyncFailed.of(failures, [*unchanged, *(report for failure in failures for report in failure.reports)])
        self.record(context, unchanged)
        if not found:
            raise AirflowSkipException("Everything is up to date.")
        for table_slice in found:
            self.log.info(
                "Table %r, keys %s: about %s rows to look at.",
                table_slice.table,
                table_slice.key_range or "all",
                f"{table_slice.rows:,}",
            )
        return [table_slice.to_dict() for table_slice in found]


class TableDownloadOperator(TableStepOperator):
    """Stage what the target needs of one slice, or of several.

    A retry goes on with what its failed try has staged. The result is for :class:`TableMergeOperator`.

    :param table_slice: a slice that :class:`TableCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "table_slice")
    template_fields_renderers: ClassVar[dict[str, str]] = {**TableStepOperator.template_fields_renderers, "table_slice": "json"}

    def __init__(self, *, table_slice: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table_slice = table_slice

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download."""
        staged: list[StagedSlice] = []
        progress = self.progress()
        with self.failing_tasks(context), self.client() as client:
            for value in results_of_steps("table_slice", self.table_slice):
                table_slice = PlannedSlice.from_dict(value)
                conn_id, table = self.find_table(table_slice.table)
                with failing_as(TableReport, table_slice.table), OPENER.database(conn_id) as database:
                    entry = download_slice(client, table, database, table_slice, progress=progress)
                self.log.info(
                    "Table %r: %s rows staged, of which %s came now, and %s to delete.",
                    *(entry.table, f"{entry.staged:,}", f"{entry.received:,}", f"{entry.removed:,}"),
                )
                staged.append(entry)
        return [entry.to_dict() for entry in staged]


class TableMergeOperator(TableStepOperator):
    """Merge what was staged, in one short transaction, and drop the staging tables.

    The result is that of :class:`~.table_sync.TableSyncOperator` for the tables that differed, with the costs of all steps.
    A merge that fails leaves the staging tables for its retry.

    :param slices: everything that the downloads returned
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "slices")
    template_fields_renderers: ClassVar[dict[str, str]] = {**TableStepOperator.template_fields_renderers, "slices": "json"}

    def __init__(self, *, slices: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Merge, log the reports as a table, and return them."""
        reports: list[Report] = []
        failures: list[SyncFailed] = []
        with self.failing_tasks(context), self.client() as client:
            by_connection: dict[str, dict[str, tuple[TargetTable, list[StagedSlice]]]] = {}
            for value in results_of_steps("slices", self.slices):
                table_slice = StagedSlice.from_dict(value)
                conn_id, table = self.find_table(table_slice.table)
                by_connection.setdefault(conn_id, {}).setdefault(table_slice.table, (table, []))[1].append(table_slice)
            single_transaction = converted("single_transaction", self.single_transaction, bool)
            dry_run = converted("dry_run", self.is_dry_run, bool)
            for conn_id, tables in by_connection.items():
                with OPENER.database(conn_id) as database:
                    try:
                        reports += merge_slices(client, tables, database, single_transaction=single_transaction, dry_run=dry_run)
                    except SyncFailed as failure:
                        failures.append(failure)
                        reports += failure.reports
            if failures:
                raise SyncFailed.of(failures, reports)
            config, plan = self.server(), self.plan()
        self.record(context, reports)
        self.log.info("\n%s", format_reports(reports))
        return self.finish(context, config, plan, reports)


def _run_of(context: Context) -> str:
    """Return what tells this run of the task from all others, the same for each try."""
    instance = context.get("ti")
    if instance is None:
        return uuid.uuid4().hex
    return f"{instance.dag_id}/{instance.run_id}/{instance.task_id}/{instance.map_index}"
