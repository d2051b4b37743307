"""Operators for the single steps of a table sync: compare, download, merge.

Each step may run on a different worker. The steps share their results (XCom) and staging tables in the target database.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import read_step_results, read_task_count
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.operators.step_operator import StepOperator
from airflow_provider_sync.operators.table_operator import TableOperator
from airflow_provider_sync.report import Report
from airflow_provider_sync.sync.run import RunPlan
from airflow_provider_sync.sync.run_steps import compare_tables, download_tables, merge_tables
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice, StagedSlice


class TableStepOperator(StepOperator, TableOperator):
    """Run one step of a table sync; every step takes the arguments of :class:`~.table_sync.TableSyncOperator`."""


class TableCompareOperator(TableStepOperator):
    """Compare tables with the source, and divide the rows to download into slices.

    The result is a list of slices, each for one :class:`TableDownloadOperator`. If all tables are up to date, this task and with
    it the downstream tasks are skipped.

    :param slices: maximum number of slices, for all tables together
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "slices")

    def __init__(self, *, slices: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare, and return the slices.

        :raises AirflowSkipException: if everything is up to date
        """
        with self.failing_tasks(context):
            slices = read_task_count("slices", self.slices)
            compared = compare_tables(
                self.server(), self.plan(), opener=OPENER, run_id=_run_id(context), slices=slices, dry_run=self.dry()
            )
        return self.finish_comparison(context, compared)


class TableDownloadOperator(TableStepOperator):
    """Download the rows of one or more slices that the target needs into staging tables.

    A retry keeps the rows that an earlier try staged. The result is for :class:`TableMergeOperator`.

    :param table_slice: a slice that :class:`TableCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "table_slice")
    template_fields_renderers: ClassVar[dict[str, str]] = {**TableStepOperator.template_fields_renderers, "table_slice": "json"}

    def __init__(self, *, table_slice: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table_slice = table_slice

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download, and return the staged slices."""
        with self.failing_tasks(context):
            slices = [PlannedSlice.from_dict(value) for value in read_step_results("table_slice", self.table_slice)]
            staged = download_tables(self.server(), self.plan(), slices, opener=OPENER, progress=self.progress())
        return self.passed_on(staged)


class TableMergeOperator(TableStepOperator):
    """Merge the staged rows in one short transaction, and drop the staging tables.

    The result is a list of reports as of :class:`~.table_sync.TableSyncOperator`, one for each table that differed, with the
    costs of all steps. If the merge fails, the staging tables stay for its retry.

    :param slices: the results of all download tasks
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "slices")
    template_fields_renderers: ClassVar[dict[str, str]] = {**TableStepOperator.template_fields_renderers, "slices": "json"}

    def __init__(self, *, slices: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def _sync(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report] = ()) -> list[Report]:
        return [*done, *merge_tables(config, plan, self._slices(done), opener=OPENER, dry_run=self.dry())]

    def _attempt(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report]) -> None:
        merge_tables(config, plan, self._slices(done), opener=OPENER, dry_run=True, keep_staged=True)

    def _slices(self, done: Sequence[Report]) -> list[StagedSlice]:
        """Return the staged slices of the tables that have not been merged."""
        slices = StagedSlice.read_all(read_step_results("slices", self.slices))
        names = {report.name for report in done}
        return [table_slice for table_slice in slices if table_slice.table not in names]


def _run_id(context: Context) -> str:
    """Return a unique id of this run of the task, the same for all of its tries."""
    instance = context.get("ti")
    if instance is None:
        return uuid.uuid4().hex
    return f"{instance.dag_id}/{instance.run_id}/{instance.task_id}/{instance.map_index}"
