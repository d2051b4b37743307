"""The steps of a table's sync as tasks of their own: compare, download, merge.

Each may run on another worker: between them there are only their results, and staging tables in the target's database.
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
    """Do one step of a table's sync; all steps take the same arguments, those of :class:`~.table_sync.TableSyncOperator`."""


class TableCompareOperator(TableStepOperator):
    """Compare tables with the source, and cut what has to be downloaded into slices.

    The result is a list of slices, each for one :class:`TableDownloadOperator`. When all tables are up to date, the task is
    skipped, and so is what follows it.

    :param slices: greatest number of slices, of all tables together
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "slices")

    def __init__(self, *, slices: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices = slices

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare.

        :raises AirflowSkipException: when there is nothing to do
        """
        with self.failing_tasks(context):
            slices = read_task_count("slices", self.slices)
            compared = compare_tables(
                self.server(), self.plan(), opener=OPENER, run_id=_run_id(context), slices=slices, dry_run=self.dry()
            )
        return self.finish_comparison(context, compared)


class TableDownloadOperator(TableStepOperator):
    """Stage what the target needs of one slice, or of several.

    A retry keeps what its failed try has staged. The result is for :class:`TableMergeOperator`.

    :param table_slice: a slice that :class:`TableCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*TableStepOperator.template_fields, "table_slice")
    template_fields_renderers: ClassVar[dict[str, str]] = {**TableStepOperator.template_fields_renderers, "table_slice": "json"}

    def __init__(self, *, table_slice: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table_slice = table_slice

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download."""
        with self.failing_tasks(context):
            slices = [PlannedSlice.from_dict(value) for value in read_step_results("table_slice", self.table_slice)]
            staged = download_tables(self.server(), self.plan(), slices, opener=OPENER, progress=self.progress())
        return self.passed_on(staged)


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

    def _sync(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report] = ()) -> list[Report]:
        return [*done, *merge_tables(config, plan, self._slices(done), opener=OPENER, dry_run=self.dry())]

    def _attempt(self, config: ClientConfig, plan: RunPlan, done: Sequence[Report]) -> None:
        merge_tables(config, plan, self._slices(done), opener=OPENER, dry_run=True, keep_staged=True)

    def _slices(self, done: Sequence[Report]) -> list[StagedSlice]:
        """Return what is still staged."""
        slices = StagedSlice.read_all(read_step_results("slices", self.slices))
        names = {report.name for report in done}
        return [table_slice for table_slice in slices if table_slice.table not in names]


def _run_id(context: Context) -> str:
    """Return what tells this run of the task from all others, the same for each try."""
    instance = context.get("ti")
    if instance is None:
        return uuid.uuid4().hex
    return f"{instance.dag_id}/{instance.run_id}/{instance.task_id}/{instance.map_index}"
